"""The one door to Spark's context: small named functions, and the check that a session has a context at all.

A session of Spark Connect, and a serverless one, sends plans to a server and has no context in this process. All code
that needs a context calls this folder, so that support for another kind of session changes this folder alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from pyspark import Broadcast
from pyspark.sql import SparkSession

from recsys_spark.errors import ConfigError

T = TypeVar("T")
NEEDED = (
    "a classic session, whose driver is this process: broadcasts, accumulators and Hadoop's files need its SparkContext"
)
TO_DO = (
    "Start the job with ./submit.sh or spark-submit, or the notebook on a cluster with its own driver; "
    "unset SPARK_REMOTE and spark.remote; on a serverless platform choose dedicated compute."
)


def require_context(spark: SparkSession) -> SparkSession:
    """Return the session. Raises ConfigError where it has no SparkContext, as under Spark Connect."""
    try:
        context = spark.sparkContext
    except Exception as error:
        # Each platform refuses with an error of its own; all of them mean the same.
        raise _without_context(spark, error) from error
    if context is None:
        raise _without_context(spark, "no SparkContext")
    return spark


def refuse_remote(properties: Mapping[str, str]) -> None:
    """Raise ConfigError where a new session would be one of Spark Connect, by the environment or by ``properties``."""
    asked = {
        "SPARK_REMOTE": os.environ.get("SPARK_REMOTE"),
        "spark.remote": properties.get("spark.remote"),
        "spark.api.mode": properties.get("spark.api.mode") if properties.get("spark.api.mode") == "connect" else None,
    }
    if given := {name: value for name, value in asked.items() if value}:
        raise ConfigError(
            "Spark Connect was asked for, which this version does not run on",
            where=", ".join(given),
            found=", ".join(f"{name} = {value}" for name, value in given.items()),
            expected=NEEDED,
            action=TO_DO,
        )


def master(spark: SparkSession) -> str:
    """Return the master, such as `local[4]` or `yarn`; empty where there is none."""
    return spark.sparkContext.master or ""


def properties_of(spark: SparkSession) -> dict[str, str]:
    """Return all properties that the application was started with."""
    return dict(spark.sparkContext.getConf().getAll())


def property_of(spark: SparkSession, key: str, default: str = "") -> str:
    """Return one property that the application was started with; ``default`` where it is not set or empty."""
    return spark.sparkContext.getConf().get(key, default) or default


def parallelism(spark: SparkSession) -> int:
    """Return how many cores Spark has for tasks at this moment."""
    return int(spark.sparkContext.defaultParallelism)


def broadcast(spark: SparkSession, value: T) -> Broadcast[T]:
    """Return a value that every worker can read; the caller destroys it."""
    return spark.sparkContext.broadcast(value)


def carry_archive(spark: SparkSession, address: str) -> None:
    """Let Spark bring an archive `FILE#NAME` to every executor, later ones too, where it is unpacked below NAME."""
    spark.sparkContext.addArchive(address)


def carried_archives(spark: SparkSession) -> list[str]:
    """Return the archives `FILE#NAME` that Spark brings to the executors."""
    return list(spark.sparkContext.listArchives)


def _without_context(spark: Any, found: object) -> ConfigError:
    kind = type(spark)
    return ConfigError(
        "This Spark session has no SparkContext",
        where="Spark session",
        found=f"{kind.__module__}.{kind.__qualname__}: {str(found).splitlines()[0] if str(found) else 'refused'}",
        expected=NEEDED,
        action=TO_DO,
    )
