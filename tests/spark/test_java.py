"""The Java and the Spark that are found, and those that are refused before Spark starts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pyspark import __version__

from recsys_spark.errors import StartupError
from recsys_spark.spark import java
from recsys_spark.spark.java import major_of, require_java
from recsys_spark.spark.spark_home import require_spark, spark_home_of, spark_version
from tests.spark.conftest import Home

TOO_OLD = "java.lang.UnsupportedClassVersionError: x (class file version 61.0), recognizes class file versions up to "
OLD = {
    "eight": "echo 'java version \"1.8.0_392\"' >&2",
    "eleven": "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2",
    "vendor": "printf 'Picked up JAVA_TOOL_OPTIONS: -Dx=17\\nZulu openjdk version \"16-ea\" 2021\\n' >&2",
    "new form": "echo 'openjdk 14 2020-03-17'",
    "classes": f"echo '{TOO_OLD}55.0' >&2; exit 1",
}


@pytest.mark.parametrize("script", OLD.values(), ids=OLD)
def test_an_old_java_is_refused_by_what_it_says(home: Home, script: str) -> None:
    with pytest.raises(StartupError, match="too old") as raised:
        require_java({"JAVA_HOME": str(home(script))})
    assert "Java 17 or later" in str(raised.value.expected)


@pytest.mark.parametrize(
    "script",
    [
        "echo 'openjdk version \"17\" 2021' >&2",
        "echo 'java 21.0.1 2023-10-17'",
        'echo version "25-ea"',
        "echo a vendor",
    ],
)
def test_a_new_java_passes_and_one_of_no_known_version_too(home: Home, script: str) -> None:
    require_java({"JAVA_HOME": str(home(script))})


def test_a_file_tells_the_version_and_java_is_not_asked(home: Home) -> None:
    require_java({"JAVA_HOME": str(home("exit 9", "17.0.15"))})
    with pytest.raises(StartupError, match=r"Java 8 \(1.8.0_392\)"):
        require_java({"JAVA_HOME": str(home("exit 9", "1.8.0_392", "old"))})


def test_a_java_that_hangs_or_fails_is_refused(home: Home, tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(StartupError, match=r"no answer to `java -version` within 0\.2 seconds"):
        require_java({"JAVA_HOME": str(home("sleep 30; true"))}, seconds=0.2)
    assert time.monotonic() - before < 20, "a child of the script was waited for"
    with pytest.raises(StartupError, match="exit status 3: Unrecognized option: -XX"):
        require_java({"JAVA_HOME": str(home("echo Unrecognized option: -XX >&2; exit 3", name="bad"))})
    binary = tmp_path / "bad" / "bin" / "java"
    binary.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(StartupError, match="Exec format error"):
        require_java({"JAVA_HOME": str(tmp_path / "bad")})


def test_java_home_counts_before_the_path(home: Home, tmp_path: Path) -> None:
    old, new = home("", "11.0.2", "old"), home("", "17.0.1", "new")
    require_java({"JAVA_HOME": str(new), "PATH": str(old / "bin")})
    require_java({"JAVA_HOME": "", "PATH": str(new / "bin")})
    with pytest.raises(StartupError, match="by JAVA_HOME"):
        require_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")})
    with pytest.raises(StartupError, match="by PATH"):
        require_java({"PATH": str(old / "bin")})
    with pytest.raises(StartupError, match="Java is missing"):
        require_java({"PATH": str(tmp_path)})
    for wrong in (new / "bin", tmp_path / "nowhere"):
        with pytest.raises(StartupError, match="JAVA_HOME does not hold a Java"):
            require_java({"JAVA_HOME": str(wrong), "PATH": str(new / "bin")})


def test_sparks_own_environment_file_decides_which_java(home: Home, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-env.sh").write_text("export JAVA_HOME=/opt/java-17\n")
    require_java({"JAVA_HOME": str(home("", "11.0.2"))}, str(tmp_path))
    require_java({"JAVA_HOME": "/nowhere", "SPARK_CONF_DIR": str(tmp_path / "conf")})


def test_the_remedy_names_a_fitting_java_of_this_machine(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    new = home("", "21.0.1")
    monkeypatch.setattr(java.glob, "glob", lambda _: [str(new)])
    assert java.suggestion({"PATH": ""}) == f"This machine has Java 21: export JAVA_HOME={new}"
    (new / "release").unlink()
    assert java.suggestion({"PATH": ""}).startswith("Install Java 17")
    assert [major_of(text) for text in ("1.7", "9.0.4", "17+35", "abc")] == [7, 9, 17, None]


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    folder = tmp_path / "spark"
    (folder / "bin").mkdir(parents=True)
    (folder / "jars").mkdir()
    (folder / "bin" / "spark-submit").write_text("#!/bin/sh\n")
    (folder / "bin" / "spark-submit").chmod(0o755)
    return folder


def test_a_spark_that_is_missing_or_cannot_be_executed_is_refused(distribution: Path, tmp_path: Path) -> None:
    for found, folder in (("does not exist", tmp_path / "nowhere"), ("spark-submit does not exist", tmp_path)):
        with pytest.raises(StartupError, match=found):
            require_spark({"SPARK_HOME": str(folder)})
    (distribution / "bin" / "spark-submit").chmod(0o644)
    with pytest.raises(StartupError, match="permission to execute"):
        require_spark({"SPARK_HOME": str(distribution)})


def test_a_spark_of_another_version_is_refused(distribution: Path) -> None:
    environ = {"SPARK_HOME": str(distribution)}
    assert require_spark(environ) == str(distribution), "nothing tells the version"
    (distribution / "jars" / "spark-core_2.12-3.5.1-amzn-0.jar").touch()
    for submits in (False, True):
        with pytest.raises(StartupError, match=r"Spark 3\.5\.1-amzn-0"):
            require_spark(environ, submits=submits)
    (distribution / "python" / "lib").mkdir(parents=True)
    (distribution / "python" / "lib" / "pyspark.zip").touch()
    with pytest.raises(StartupError, match=r"expected: Spark 4\.0 or later"):
        require_spark(environ, submits=True)
    (distribution / "RELEASE").write_text("Spark 4.0.1 built for Hadoop 3.4.1\n")
    with pytest.raises(StartupError, match=r"found:    Spark 4\.0\.1"):
        require_spark(environ)
    # spark-submit starts the driver with the PySpark of its own distribution.
    assert require_spark(environ, submits=True)


def test_the_spark_of_this_python_is_found_and_has_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    found = spark_home_of({})
    assert found
    assert spark_version(found) == __version__
    assert require_spark({}) == found
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StartupError, match="Spark is missing"):
        require_spark({"SPARK_HOME": ""})
