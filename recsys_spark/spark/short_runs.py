"""Settings for small inputs. What Spark prepares for much data costs more than the work on little data.

They change no list: partitions, joins and compiled code decide how fast a result is there, never what it is.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pyspark.sql import SparkSession

log = logging.getLogger("recsys_spark")
SHORT_BYTES = 32 * 2**20
"""Input of a run that ends before Java's second compiler has earned what it costs."""
SMALL_BYTES = 2 * 2**20
"""Input whose tables are worked on in one task, without compiling a plan."""
JAVA_OPTIONS = "spark.driver.extraJavaOptions"
SHORT_JAVA = {JAVA_OPTIONS: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xss4m"}
"""One quick compiler, and a garbage collector without threads: of 26 CPU-seconds of a tiny job 14 are left.

Code of that compiler takes more of the stack. Spark needs much of it for a plan or a lineage of many steps.
"""
SMALL_SQL = {
    # Each stage would be a job of its own, and be planned again after it.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    # Each broadcast is a job of its own.
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    # Compiling a plan to Java takes longer than interpreting it for a few thousand rows.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
DEFAULTED = "spark.recsys.defaulted"
"""Property with the names of the settings that this package chose, and nobody else."""


def local_bytes(paths: Iterable[str | None]) -> int | None:
    """Return the bytes of all files at local paths, folders or patterns; None where one is elsewhere or a table.

    What Spark will say of a path that does not exist is not said here: it counts as empty.
    """
    total = 0
    for path in paths:
        local = path.removeprefix("file://").removeprefix("file:") if path else ""
        if not local.startswith("/"):
            return None
        try:
            for found in glob.glob(local):
                total += os.path.getsize(found) if os.path.isfile(found) else sum(_sizes(found))
        except OSError:
            # A link to nothing, or a file that is gone by now: Spark names it, if it matters.
            return None
    return total


def java_options(n_bytes: int | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return options of the driver's Java for a run on ``n_bytes`` of input; none where the user ``given`` some."""
    if n_bytes is None or n_bytes > SHORT_BYTES or JAVA_OPTIONS in given:
        return {}
    return dict(SHORT_JAVA)


@contextmanager
def small_input(spark: SparkSession, n_bytes: int | None) -> Iterator[None]:
    """Set ``SMALL_SQL`` for the block where the input is small. Settings that the user chose stay."""
    if n_bytes is None or n_bytes > SMALL_BYTES:
        yield
        return
    before = {key: spark.conf.get(key) for key in SMALL_SQL if not _is_chosen(spark, key)}
    changed = {key: SMALL_SQL[key] for key, value in before.items() if value != SMALL_SQL[key]}
    explicit = {key for key in changed if _is_set(spark, key)}
    if changed:
        _say(f"the input has {n_bytes:,} bytes, so: {', '.join(f'{key}={value}' for key, value in changed.items())}")
    for key, value in changed.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key in changed:
            spark.conf.set(key, str(before[key])) if key in explicit else spark.conf.unset(key)


@lru_cache
def _say(line: str) -> None:
    # Once, and not for each stage.
    log.info("Spark: %s", line)


def _is_chosen(spark: SparkSession, key: str) -> bool:
    """Return whether the user set ``key``, for the application or in the session."""
    conf = spark.sparkContext.getConf()
    ours = key in str(conf.get(DEFAULTED, "")).split(",")
    return _is_set(spark, key) and not (ours and spark.conf.get(key) == conf.get(key))


def _is_set(spark: SparkSession, key: str) -> bool:
    java: Any = spark._jsparkSession
    return bool(java.sessionState().conf().contains(key))


def _sizes(folder: str) -> Iterator[int]:
    for at, _, names in os.walk(folder):
        yield from (os.path.getsize(os.path.join(at, name)) for name in names)
