"""submit.sh against a spark-submit that writes down what it was given: the fixtures of its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOB = ("--run-date", "2026-01-02")

Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def spark_home(tmp_path: Path) -> Path:
    """A Spark distribution whose spark-submit records its arguments, one per NUL, and exits with $FAKE_EXIT."""
    home = tmp_path / "spark home"
    (home / "bin").mkdir(parents=True)
    fake = home / "bin" / "spark-submit"
    fake.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$FAKE_ARGV"\nexit "${FAKE_EXIT:-0}"\n')
    fake.chmod(0o755)
    return home


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "shop.toml"
    file.touch()
    return file


@pytest.fixture
def submit(tmp_path: Path, spark_home: Path) -> Submit:
    def run(*args: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
        own = {"SPARK_HOME": str(spark_home), "FAKE_ARGV": str(tmp_path / "argv"), "PYSPARK_PYTHON": sys.executable}
        return subprocess.run(
            [str(ROOT / "submit.sh"), *args],
            cwd=cwd,
            env=clean | own | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def argv(tmp_path: Path, submit: Submit, config: Path) -> Callable[..., list[str]]:
    """What spark-submit is given for `./submit.sh pipeline --config ... --run-date ...` and further arguments."""

    def run(*args: str, stage: str = "pipeline", **env: str) -> list[str]:
        done = submit(stage, "--config", str(config), *JOB, *args, **env)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "argv").read_text().split("\0")[:-1]

    return run
