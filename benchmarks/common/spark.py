"""The Spark session of a process that measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def session(cores: int, **conf: str) -> SparkSession:
    """Return this process's session; ``cores`` and ``conf`` (`driver_memory="8g"`) count at the first call."""
    from recsys_spark.spark.session import create_session

    named = {f"spark.{name.replace('_', '.')}": value for name, value in conf.items()}
    return create_session({"spark.master": f"local[{cores}]", **named})


def drop(frame: DataFrame) -> None:
    """Compute all rows and keep none."""
    frame.write.format("noop").mode("overwrite").save()
