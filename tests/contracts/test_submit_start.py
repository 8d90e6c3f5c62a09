"""submit.sh where Spark does not start, and what it hands to a Spark that does: signals, statuses, a safe path."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.contracts.conftest import JOB, Submit


def test_missing_spark_submit_is_named(submit: Submit, config: Path, tmp_path: Path) -> None:
    done = submit("train", "--config", str(config), *JOB, SPARK_HOME=str(tmp_path))
    assert done.returncode == 10
    assert f"SPARK_HOME={tmp_path}" in done.stderr


@pytest.mark.parametrize("script", [None, "echo Fatal Python error: no encodings >&2; exit 1"])
def test_a_python_that_does_not_start_is_named(
    submit: Submit, config: Path, tmp_path: Path, script: str | None
) -> None:
    python = tmp_path / "python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = submit("train", "--config", str(config), *JOB, PYSPARK_DRIVER_PYTHON=str(python))
    assert done.returncode == 10
    parts = [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]]
    assert parts == ["StartupError", "where", "found", "expected", "to do"]
    assert ("no encodings" if script else "No such file or directory") in done.stderr


def script_of(spark_home: Path, text: str) -> None:
    (spark_home / "bin" / "spark-submit").write_text(f"#!/bin/sh\n{text}\n")


def test_a_spark_submit_that_dies_before_the_job_is_explained(submit: Submit, config: Path, spark_home: Path) -> None:
    script_of(spark_home, "echo 'Error occurred during initialization of VM\nToo small maximum heap' >&2; exit 1")
    done = submit("train", "--config", str(config), *JOB)
    assert done.returncode == 10
    assert "StartupError: Java cannot get the memory that it was given" in done.stderr
    assert "found:    Too small maximum heap" in done.stderr
    # The same words after the job's Python has begun are the job's own.
    script_of(spark_home, 'rm "$RECSYS_SPARK_START"; echo Too small maximum heap >&2; exit 1')
    done = submit("train", "--config", str(config), *JOB)
    assert (done.returncode, done.stderr) == (1, "Too small maximum heap\n")


def test_no_python_below_imports_from_the_working_directory(
    submit: Submit, config: Path, spark_home: Path, tmp_path: Path
) -> None:
    script_of(spark_home, 'printf "%s" "$PYTHONSAFEPATH $PYTHONPATH" > "$FAKE_ARGV"')
    (tmp_path / "json.py").write_text("raise RuntimeError('imported from the working directory')")
    done = submit("train", "--config", config.name, *JOB, cwd=tmp_path, PYTHONPATH=":/opt/a:.::/opt/b:")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "argv").read_text() == "1 /opt/a:/opt/b"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_of_submit_is_an_end_of_spark(
    submit: Submit, config: Path, spark_home: Path, tmp_path: Path, number: int
) -> None:
    ends = f'trap "echo ended > {tmp_path}/end; exit 143" TERM'
    script_of(spark_home, f"{ends}\nkill -{int(number)} $PPID\nsleep 5 >/dev/null 2>&1 &\nwait")
    done = submit("train", "--config", str(config), *JOB)
    assert done.returncode == (143 if number == signal.SIGTERM else -number)
    deadline = time.monotonic() + 5
    while not (tmp_path / "end").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "end").exists()
