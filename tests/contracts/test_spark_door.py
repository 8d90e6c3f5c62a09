"""Only recsys_spark/spark/ touches Spark's context or the JVM; everything else calls its functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "recsys_spark"
DOOR = PACKAGE / "spark"
BEHIND = re.compile(
    r"\b(sparkContext|SparkContext|_jvm|_jsc|_jsparkSession|_jdf|_sc|_java_\w+|rdd|py4j|Py4J\w*|java_exception)\b"
)
"""Attributes that a session without a context does not have."""


def uses(text: str) -> Iterator[str]:
    yield from (line.strip() for line in text.splitlines() if BEHIND.search(line))


def test_nothing_outside_the_door_touches_the_context_or_the_jvm() -> None:
    outside = [file for file in PACKAGE.rglob("*.py") if DOOR not in file.parents]
    found = {file.relative_to(PACKAGE).as_posix(): list(uses(file.read_text(encoding="utf-8"))) for file in outside}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_door_is_where_the_context_is_used() -> None:
    assert {file.name for file in DOOR.glob("*.py") if list(uses(file.read_text(encoding="utf-8")))} >= {
        "driver.py",
        "filesystem.py",
    }


@pytest.mark.parametrize(
    "line",
    [
        "n = spark.sparkContext.defaultParallelism",
        "from pyspark import SparkContext",
        "jvm = spark._jvm",
        "context._jsc.sc().applicationId()",
        "rows.rdd.map(f)",
        "from py4j.protocol import Py4JJavaError",
        "text = error.java_exception.toString()",
    ],
)
def test_a_use_is_noticed(line: str) -> None:
    assert list(uses(f"def f(spark):\n    {line}\n"))


def test_words_like_them_are_not() -> None:
    assert not list(uses("from recsys_spark.spark.driver import broadcast\nspark_context_free = 1\n"))
