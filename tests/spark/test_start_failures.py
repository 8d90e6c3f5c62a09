"""A Java that dies while Spark starts: its words become five lines with a remedy, the same from both doors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_spark.spark import java
from recsys_spark.spark.start_failures import first_error, start_failure
from tests.spark.conftest import Home

SAID = {
    "too old for Spark": "java.lang.UnsupportedClassVersionError: x, recognizes class file versions up to 55.0",
    "Java is missing": "JAVA_HOME is not set",
    "too new for this Spark": "Caused by: UnsupportedOperationException: getSubject is not supported",
    "not complete": "Failed to find Spark jars directory (/x/jars).\nYou need to build Spark",
    "memory that it was given": "Error occurred during initialization of VM\nCould not reserve enough space for heap",
    "too little memory": "IllegalArgumentException: System memory 259522560 must be at least 471859200.",
    "spark-submit does not know": "Error: Unrecognized option: --mastr",
    "Java does not know": "Unrecognized option: -Foo\nError: Could not create the Java Virtual Machine.",
    "has no name": "LoginException: java.lang.NullPointerException: invalid null input: name",
    "host name does not resolve": "Caused by: java.net.UnknownHostException: pod-7: Name or service not known",
    "address or port": "java.net.BindException: Cannot assign requested address: Service 'sparkDriver' failed after 16",
    "cannot be written": "java.io.IOException: Failed to create a temp directory (under /tmp) after 10 attempts!",
    "Spark does not start": 'WARN Utils: x\nException in thread "main" java.lang.Error: odd\n\tat a.b.C\n',
}


@pytest.mark.parametrize("what", SAID)
def test_words_of_a_java_that_died_become_an_error_with_a_remedy(what: str) -> None:
    error = start_failure(SAID[what], "Spark local[*]")
    assert what in error.what
    assert error.exit_code == 10
    assert all(error.parts().values())
    assert len(str(error).splitlines()) == 5
    assert str(error.found) in SAID[what]


def test_the_first_line_of_an_unknown_failure_is_shown() -> None:
    assert first_error("") is None
    assert first_error("WARN a\n\tat x\nplain words") == "plain words"
    assert first_error('INFO x\nException in thread "main" a.B: c\n\tat d\nCaused by: e') == "a.B: c"


def run(command: list[str], cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    given = clean | {"PYSPARK_DRIVER_PYTHON": sys.executable} | environ
    return subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, check=False, timeout=60)


def test_both_doors_say_the_same_in_five_lines(tmp_path: Path, home: Home) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "shop.toml").touch()
    console = [sys.executable, "-c", "from recsys_spark.cli import main; raise SystemExit(main())"]
    words = ["train", "--config", "shop.toml", "--run-date", "2026-01-02"]
    for lack in ({"JAVA_HOME": str(home("", "11.0.2"))}, {"SPARK_HOME": str(tmp_path)}):
        doors = (console, [str(root / "submit.sh")])
        done = [run([*door, *words], tmp_path, PYTHONPATH=str(root), **lack) for door in doors]
        assert [each.returncode for each in done] == [10, 10]
        assert done[0].stderr == done[1].stderr
        said = done[0].stderr.splitlines()
        assert said[1].startswith("StartupError: ")
        assert [line.split(":")[0].strip() for line in said[2:]] == ["where", "found", "expected", "to do"]


def test_make_asks_for_java_as_the_job_does(home: Home) -> None:
    old = home("echo 'java version \"1.8.0\"' >&2")
    done = run([sys.executable, "-m", java.__name__], Path(__file__).parents[2], JAVA_HOME=str(old))
    assert done.returncode == 10
    assert "too old" in done.stderr
