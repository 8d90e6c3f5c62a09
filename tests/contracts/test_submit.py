"""submit.sh against a spark-submit that writes down what it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.conftest import JOB, ROOT, Submit


def value_of(argv: list[str], option: str) -> str:
    assert argv.count(option) == 1, f"{option} in {argv}"
    return argv[argv.index(option) + 1]


def test_job_arguments_follow_the_stage_script(argv: Callable[..., list[str]], config: Path) -> None:
    got = argv("--as-of", "2026-01-01", "--set", "run.top_n=5", "--set=run.seed=2", "--device", "cpu", stage="train")
    start = got.index(str(ROOT / "jobs" / "train.py"))
    assert got[start + 1 :] == [
        "--config",
        str(config),
        "--run-date",
        "2026-01-02",
        "--as-of",
        "2026-01-01",
        "--set",
        "run.top_n=5",
        "--set",
        "run.seed=2",
        "--device",
        "cpu",
    ]


def test_options_that_are_not_ours_reach_spark_submit_untouched_and_in_order(argv: Callable[..., list[str]]) -> None:
    theirs = [
        "--conf",
        "spark.x=a b",
        "-c",
        "spark.y=$HOME 'q'",
        "--verbose",
        "--name",
        "two words",
        "--conf=spark.z=1",
        "--jars",
        "a.jar,b.jar",
        "--master",
        "yarn",
        "--queue",
        "",
    ]
    got = argv(*theirs)
    script = got.index(str(ROOT / "jobs" / "pipeline.py"))
    assert got[script - len(theirs) : script] == theirs


def test_a_file_of_candidates_travels_with_a_driver_that_runs_on_the_cluster(
    submit: Submit, config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "candidates.toml"
    file.touch()
    asked = ("--candidates", str(file), "--master", "yarn", "--deploy-mode", "cluster")
    done = submit("encoders", "--config", str(config), *asked)
    assert done.returncode == 0, done.stderr
    argv = (tmp_path / "argv").read_text().split("\0")[:-1]
    assert value_of(argv, "--files") == f"{config},{file}"
    assert value_of(argv, "--candidates") == file.name


def test_verbose_is_for_both(argv: Callable[..., list[str]]) -> None:
    got = argv("--verbose")
    script = got.index(str(ROOT / "jobs" / "pipeline.py"))
    assert "--verbose" in got[:script]
    assert "--verbose" in got[script:]


def test_application_is_named_after_its_stage_unless_the_user_names_it(argv: Callable[..., list[str]]) -> None:
    assert value_of(argv(stage="train"), "--name") == "recsys-spark train"
    got = argv("--name", "mine", stage="train")
    assert got[len(got) - got[::-1].index("--name")] == "mine", "spark-submit takes the last"


def test_config_is_ours_and_conf_is_sparks(argv: Callable[..., list[str]], config: Path) -> None:
    got = argv("--conf", "spark.a=1")
    script = got.index(str(ROOT / "jobs" / "pipeline.py"))
    assert "--config" not in got[:script]
    assert "--conf" not in got[script:]


def test_without_a_master_the_job_is_local(argv: Callable[..., list[str]]) -> None:
    got = argv()
    assert value_of(got, "--master") == "local[*]"
    assert value_of(got, "--properties-file") == str(ROOT / "conf/spark/local.conf")


@pytest.mark.parametrize(
    ("args", "profile"),
    [
        (["--master", "local[2]"], "local"),
        (["--master=local[2]"], "local"),
        (["--master", "yarn"], "cpu"),
        (["--conf", "spark.master=spark://h:7077"], "cpu"),
        (["--conf", "spark.master=local[2]", "--master", "yarn"], "cpu"),
        (["--master", "yarn", "--gpu"], "gpu"),
        (["--master", "yarn", "--conf", "spark.executor.resource.gpu.amount=1"], "gpu"),
        (["--master", "yarn", "--conf", "spark.executor.resource.gpu.amount=0"], "cpu"),
    ],
)
def test_spark_conf_file_fits_the_master(argv: Callable[..., list[str]], args: list[str], profile: str) -> None:
    got = argv(*args)
    assert value_of(got, "--properties-file") == str(ROOT / f"conf/spark/{profile}.conf")
    # Otherwise the platform's spark-defaults.conf would be hidden by our file.
    assert "--load-spark-defaults" in got
    assert "--gpu" not in got


def test_properties_file_of_the_user_replaces_ours_and_its_master_counts(
    argv: Callable[..., list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "my.conf"
    file.write_text("# spark.master local\nspark.master   yarn\n")
    got = argv("--properties-file", str(file))
    assert value_of(got, "--properties-file") == str(file)
    assert "--master" not in got


def test_master_of_the_platforms_defaults_counts(argv: Callable[..., list[str]], spark_home: Path) -> None:
    (spark_home / "conf").mkdir()
    (spark_home / "conf" / "spark-defaults.conf").write_text("spark.master=yarn\n")
    got = argv()
    assert "--master" not in got
    assert value_of(got, "--properties-file") == str(ROOT / "conf/spark/cpu.conf")


def test_gpu_discovery_script_travels_with_the_job(argv: Callable[..., list[str]]) -> None:
    assert value_of(argv("--master", "yarn", "--gpu"), "--files") == str(ROOT / "deploy/gpus.sh")


NVIDIA_SMI = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
  MIG 3g.20gb     Device  0: (UUID: MIG-c1)
  MIG 3g.20gb     Device  1: (UUID: MIG-c2)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)
GPU 10: NVIDIA A100-SXM4-40GB (UUID: GPU-cc)
"""


@pytest.mark.parametrize(
    ("nvidia_smi", "visible", "addresses"),
    [
        (NVIDIA_SMI, None, ["MIG-c1", "MIG-c2", "1", "10"]),
        (NVIDIA_SMI, "10, MIG-c1", ["10", "MIG-c1"]),
        (NVIDIA_SMI, "1,-1,0", ["1"]),
        (NVIDIA_SMI, "", []),
        ("exit 9", None, []),
        (None, None, []),
    ],
)
def test_gpu_discovery_announces_what_the_workers_can_use(
    tmp_path: Path, nvidia_smi: str | None, visible: str | None, addresses: list[str]
) -> None:
    if nvidia_smi is not None:
        fake = tmp_path / "nvidia-smi"
        fake.write_text(nvidia_smi if nvidia_smi.startswith("exit") else f"cat <<'END'\n{nvidia_smi}END\n")
        fake.write_text(f"#!/bin/sh\n{fake.read_text()}")
        fake.chmod(0o755)
    env = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    env |= {"PATH": f"{tmp_path}:{env['PATH']}"} | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    done = subprocess.run([str(ROOT / "deploy/gpus.sh")], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": addresses}
    assert bool(done.stderr) == (visible is None and nvidia_smi != NVIDIA_SMI), "why there is none goes to stderr"


def test_files_of_the_user_are_joined_with_ours(argv: Callable[..., list[str]], tmp_path: Path) -> None:
    env = tmp_path / "env.tar.gz"
    env.touch()
    got = argv("--py-files", "a.zip,b.py", "--archives", "c.zip#c", "--env-archive", str(env))
    assert value_of(got, "--py-files").split(",")[1:] == ["a.zip", "b.py"]
    assert value_of(got, "--archives") == f"{env}#environment,c.zip#c"


def test_environment_archive_gives_the_executors_their_python(argv: Callable[..., list[str]], tmp_path: Path) -> None:
    env = tmp_path / "env.tar.gz"
    env.touch()
    client = argv("--master", "yarn", "--env-archive", str(env))
    assert "spark.pyspark.python=./environment/bin/python" in client
    assert [c for c in client if c.startswith("spark.pyspark.driver.python=/")], "the driver has no archive to unpack"
    cluster = argv("--master", "yarn", "--deploy-mode", "cluster", "--env-archive", str(env))
    assert not [c for c in cluster if c.startswith("spark.pyspark.driver.python=")]
    assert "spark.yarn.appMasterEnv.PYTHONSAFEPATH=1" in cluster


def test_config_travels_with_a_driver_that_runs_on_the_cluster(argv: Callable[..., list[str]], config: Path) -> None:
    for how in (["--deploy-mode", "cluster"], ["--conf", "spark.submit.deployMode=cluster"]):
        got = argv("--master", "yarn", *how)
        assert value_of(got, "--files") == str(config)
        assert value_of(got, "--config") == "shop.toml"


def test_package_zip_has_code_and_data_and_the_same_bytes_each_time(argv: Callable[..., list[str]]) -> None:
    first = Path(value_of(argv(), "--py-files"))
    before = first.read_bytes()
    first.unlink()
    second = Path(value_of(argv(), "--py-files"))
    assert second == first
    assert second.read_bytes() == before
    names = set(zipfile.ZipFile(second).namelist())
    on_disk = [p for p in (ROOT / "recsys_spark").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert names == {p.relative_to(ROOT).as_posix() for p in on_disk}


@pytest.mark.parametrize("status", [0, 1, 9])
def test_exit_status_of_the_job_is_passed_through(submit: Submit, config: Path, status: int) -> None:
    assert submit("publish", "--config", str(config), *JOB, FAKE_EXIT=str(status)).returncode == status


def test_works_from_another_directory_with_a_relative_config(submit: Submit, config: Path, tmp_path: Path) -> None:
    done = submit("ingest", "--config", config.name, *JOB, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    argv = (tmp_path / "argv").read_text().split("\0")
    assert str(ROOT / "jobs/ingest.py") in argv
    assert Path(value_of(argv, "--py-files")).is_absolute()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "usage:"),
        (["ingets", "--config", "{config}", *JOB], "ingest pipeline"),
        (["../submit", "--config", "{config}", *JOB], "there is no stage"),
        (["train", *JOB], "--config is missing"),
        (["train", "--config", "{config}"], "--run-date is missing"),
        (["train", "--config"], "--config needs a value"),
        (["compact", "--config", "{config}", *JOB], "compact takes no --run-date"),
        (["vacuum", "--config", "{config}", *JOB], "expected: --days --dry-run"),
        (["encoders", "--config", "{config}", "--set", "run.top_n=5"], "encoders takes no --set"),
        (["tune", "--config", "{config}", "--out", "t.toml"], "--run-date is missing"),
        (["tune", "--config", "{config}", *JOB, "--set", "run.top_n=5"], "tune takes no --set"),
        (["train", "--config", "{config}", *JOB, "--days", "30"], "train takes no --days"),
        (["train", "--config", "{config}", *JOB, "--trials", "3"], "train takes no --trials"),
        (["vacuum", "--config", "{config}", "--days"], "--days needs a value"),
        (["train", "--config", "/nowhere.toml", *JOB], "/nowhere.toml"),
        (["train", "--config", "{config}", *JOB, "--env-archive", "/nowhere.tgz"], "/nowhere.tgz"),
    ],
)
def test_wrong_command_line_exits_2_and_starts_nothing(
    submit: Submit, config: Path, tmp_path: Path, args: list[str], says: str
) -> None:
    done = submit(*[a.format(config=config) for a in args])
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "argv").exists()


def test_spark_submit_is_found_inside_pips_pyspark(
    submit: Submit, config: Path, tmp_path: Path, spark_home: Path
) -> None:
    (tmp_path / "site" / "pyspark").mkdir(parents=True)
    (tmp_path / "site" / "pyspark" / "__init__.py").touch()
    (tmp_path / "site" / "pyspark" / "bin").symlink_to(spark_home / "bin")
    env = {"SPARK_HOME": "", "PYTHONPATH": str(tmp_path / "site"), "PYSPARK_DRIVER_PYTHON": sys.executable}
    done = submit("train", "--config", str(config), *JOB, **env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "argv").exists()
