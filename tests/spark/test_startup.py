"""What Spark needs before it starts: each lack is one error with a remedy; and nobody imports from where it starts."""

from __future__ import annotations

import os
import pwd
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.errors import StartupError
from recsys_spark.spark import startup
from recsys_spark.spark.startup import check_settings, check_start, leave_folder, prepare, unusable


def test_folders_are_tried_by_writing(tmp_path: Path) -> None:
    assert unusable(str(tmp_path / "new" / "deep")) is None
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    (tmp_path / "file").touch()
    for where, environ in (("spark.local.dir", {}), ("SPARK_LOCAL_DIRS", {"SPARK_LOCAL_DIRS": f"{tmp_path}/file"})):
        with pytest.raises(StartupError, match=where):
            check_settings({"spark.local.dir": f"{tmp_path}/file/a, {tmp_path}/file/b"}, environ)
    # One that works is enough for Spark.
    check_settings({"spark.local.dir": f"{tmp_path}/file/a,{tmp_path}"}, {})
    check_settings({"spark.local.dir": f"{tmp_path}/file/a"}, {"CONTAINER_ID": "container_1"})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup.tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb", buffering=0))  # noqa: SIM115
    assert unusable("/tmp") == "/tmp: No space left on device"


def test_javas_folder_follows_tmpdir_where_its_own_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "unusable", lambda folder: f"{folder}: Read-only file system")
    monkeypatch.setattr(startup.tempfile, "gettempdir", lambda: str(tmp_path))
    environ = {"SPARK_SUBMIT_OPTS": "-Da=b"}
    startup._require_java_folder(environ)
    assert environ["SPARK_SUBMIT_OPTS"] == f"-Da=b -Djava.io.tmpdir={tmp_path}"
    with pytest.raises(StartupError, match=r"java\.io\.tmpdir"):
        startup._require_java_folder({"JAVA_TOOL_OPTIONS": "-Djava.io.tmpdir=/ro"})


@pytest.mark.parametrize(
    "master", ["local", "local[4]", "yarn", "k8s://https://h:1", "spark://h:7077", "local-cluster[1,1,1]"]
)
def test_known_masters_pass(master: str) -> None:
    check_settings({"spark.master": master}, {"PYSPARK_PYTHON": sys.executable})


def test_an_unknown_master_and_another_python_for_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="does not know this master"):
        check_settings({"spark.master": "lokal"}, {})
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 3.9\n")
    other.chmod(0o755)
    with pytest.raises(StartupError, match=r"found:    Python 3\.9"):
        check_settings({"spark.master": "local[2]"}, {"PYSPARK_PYTHON": str(other)})
    other.write_text("#!/bin/sh\necho pyenv: nothing here >&2; exit 127\n")
    for python, found in ((str(other), "pyenv: nothing here"), ("/nowhere/python", "No such file or directory")):
        with pytest.raises(StartupError, match=found):
            check_settings({"spark.master": "local[2]"}, {"PYSPARK_PYTHON": python})
        # On a cluster it is a path on the executors.
        check_settings({"spark.master": "yarn"}, {"PYSPARK_PYTHON": python})


def test_a_user_without_a_name_and_a_folder_that_is_gone_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid")

    monkeypatch.setattr(startup, "runs_already", lambda _: False)
    with monkeypatch.context() as patched:
        patched.setattr(pwd, "getpwuid", unknown)
        with pytest.raises(StartupError, match=f"where:    uid {os.getuid()}"):
            check_start({})
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StartupError, match="working directory does not exist any more"):
        check_start({})


@pytest.mark.parametrize("environ", [{"PYSPARK_GATEWAY_PORT": "1"}, {"SPARK_REMOTE": "sc://h"}])
def test_a_spark_that_runs_already_is_not_checked(environ: dict[str, str]) -> None:
    check_start({"JAVA_HOME": "/nowhere", **environ})


def test_a_session_that_exists_is_not_checked(spark: SparkSession) -> None:
    check_start({"JAVA_HOME": "/nowhere", "SPARK_HOME": "/nowhere"})


def test_the_check_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "runs_already", lambda _: False)
    before = time.process_time()
    check_start(dict(os.environ))
    assert time.process_time() - before < 0.05


def test_sparks_processes_leave_the_working_directory() -> None:
    environ = {"PYTHONPATH": ":/opt/lib:.:"}
    prepare(environ, "local[*]")
    assert environ == {"PYTHONPATH": "/opt/lib", "PYTHONSAFEPATH": "1", "SPARK_LOCAL_IP": "127.0.0.1"}
    chosen = {"PYTHONSAFEPATH": "", "SPARK_LOCAL_IP": "10.0.0.1"}
    prepare(chosen, "yarn")
    assert chosen == {"PYTHONSAFEPATH": "", "SPARK_LOCAL_IP": "10.0.0.1"}


def test_the_driver_leaves_a_working_directory_that_an_empty_entry_has_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, stays in ((f"{tmp_path}:", True), (":/opt/lib", False), ("/opt/lib", True)):
        monkeypatch.setattr(sys, "path", [str(tmp_path), "/opt/lib"])
        leave_folder({"PYTHONPATH": given})
        assert (str(tmp_path) in sys.path) == stays, given


def test_workers_do_not_import_from_the_working_directory(spark: SparkSession) -> None:
    def seen(_: int) -> tuple[bool, bool]:
        import os
        import sys

        return bool(sys.flags.safe_path), "" in sys.path or os.getcwd() == sys.path[0]

    assert set(spark.range(2).rdd.map(lambda row: seen(row[0])).collect()) == {(True, False)}
