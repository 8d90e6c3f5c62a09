"""Spark's settings while a source is opened and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pyspark.sql import SparkSession

READING = {
    # A cast or a division then gives null, where it would raise. Expressions keep the mode in which they were analysed.
    "spark.sql.ansi.enabled": "false",
    # The folder item_id=00007 holds the item `00007`, and not the item 7.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A map with a key twice keeps one value, and does not raise.
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    # ``staging`` evaluates an expression twice, and the second time only where the first has not raised. Spark must not
    # make one evaluation of the two.
    "spark.sql.subexpressionElimination.enabled": "false",
    # Spark refuses timestamps in nanoseconds. As numbers they can be read, and are then made timestamps again.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}

_OWN: ContextVar[dict[str, str | None] | None] = ContextVar("own", default=None)


def own_setting(spark: SparkSession, key: str) -> str | None:
    """Return what the user's session has for a key of ``READING``, also inside the block."""
    own = _OWN.get()
    return spark.conf.get(key, None) if own is None else own[key]


@contextmanager
def reading_settings(spark: SparkSession) -> Iterator[None]:
    """Set ``READING`` for the block: sources are opened, analysed and read inside it."""
    before = {key: own_setting(spark, key) for key in READING}
    token = _OWN.set(before)
    for key, value in READING.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        _OWN.reset(token)
        for key, earlier in before.items():
            spark.conf.unset(key) if earlier is None else spark.conf.set(key, earlier)
