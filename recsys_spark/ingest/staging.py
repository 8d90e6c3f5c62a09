"""Each source is read once: its rows, with the reason why one is rejected, go into a staging table.

No expression raises here: Spark first tries each one in a form that only tells whether it raises. A row on which it
does is rejected with its content, and the night goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sources import Source
from recsys_spark.ingest.expressions import checked, explained
from recsys_spark.ingest.opened import Opened
from recsys_spark.spark.expressions import Reading, partition_columns, prunable, quoted, raises
from recsys_spark.spark.failures import SparkFailure
from recsys_spark.spark.strict import expression

Stage = Callable[[str, DataFrame], DataFrame]
"""Stores rows under a name, at once, and returns them as stored."""
ROW, REASON = "row", "reason"
STOP, _FILTERED = "__stop", "__filtered"


@dataclass(frozen=True)
class Rows:
    """Rows of a source on the way to its staging table."""

    df: DataFrame
    """The source's columns, ``__stop`` with the reason why a row cannot be mapped, and perhaps ``malformed``."""
    columns: list[str]
    """Names of the source's own columns, and of those that joins add."""
    malformed: str | None
    n_rows: int | None
    """Number of rows by another count; None where there is none."""
    counted: Observation | None
    """`read` and `filtered`, once the rows were staged; None where ``n_rows`` is to be the number of staged rows."""
    judged: DataFrame
    """All rows that were read, each with whether it is filtered."""

    @property
    def content(self) -> Column:
        """The row as JSON, or its text where it has not the form of its file."""
        whole = as_json(self.df.sparkSession, [F.col(quoted(name)) for name in self.columns])
        return F.coalesce(F.col(self.malformed), whole) if self.malformed else whole

    def recounted(self) -> dict[str, int]:
        """Return `read` and `filtered`, counted in a scan of their own."""
        return dict(self.judged.agg(*_counts()).collect()[0].asDict())


def kept_rows(spark: SparkSession, opened: Opened, source: Source, *, where: str) -> Rows:
    """Return the rows that meet `where`, and those that nobody can tell of. Raises SourceError.

    What a scan can check itself, it checks: conditions on folders, and all simple conditions on a catalog table. The
    files and rows that it skips are not read.
    """
    df, columns, n_rows = opened.rows, opened.columns, opened.n_rows
    stop, meets = F.lit(None).cast("string"), F.lit(True)
    if opened.malformed:
        stop = F.when(F.col(opened.malformed).isNotNull(), F.lit("bad_row"))
    if source.where is not None:
        at = f"{where}.where"
        found = checked(df, source.where, where=at, columns=columns)
        with explained(source.where, where=at, columns=columns):
            skipping = prunable(df, source.where, among=None if source.table else partition_columns(df))
        condition = expression(spark, source.where)
        for part in skipping:
            df, n_rows = df.where(part), None
        if not found.is_safe:
            stop = F.coalesce(stop, F.when(raises(spark, condition), F.lit("bad_where")))
        meets = F.coalesce(condition, F.lit(False))
    stopped = df.withColumn(STOP, stop)
    # A row that stops is kept, so that it can be rejected. Its condition is not evaluated.
    filtered = F.when(F.col(STOP).isNull(), ~meets).otherwise(F.lit(False))
    judged = stopped.withColumn(_FILTERED, filtered)
    if n_rows is not None and source.where is None and not source.join:
        # Counting while rows are read costs as much as mapping them.
        return Rows(stopped, columns, opened.malformed, n_rows, None, judged)
    counted = Observation()
    read = judged.observe(counted, *_counts()).where(~F.col(_FILTERED)).drop(_FILTERED)
    return Rows(read, columns, opened.malformed, n_rows, counted, judged)


def _counts() -> tuple[Column, Column]:
    return F.count(F.lit(1)).alias("read"), F.count_if(F.col(_FILTERED)).alias("filtered")


@dataclass(frozen=True)
class Evaluated:
    """The expressions of a source, evaluated."""

    df: DataFrame
    """`raw_NAME` of every expression, ``__stop``, and `row` with the row's content."""
    early: DataFrame | None = None
    """Where rows are grouped or multiplied: the rows rejected before that, as `reason` and `row`. Else None."""


def evaluate(rows: Rows, source: Source, readings: Mapping[str, Reading], reason: Callable[[str], str]) -> Evaluated:
    """Return the value of each expression of `columns` for every row.

    ``reason``: the reason for a row on which the expression of that name raises an error.
    """
    if source.group_by or any(one.reshapes for one in readings.values()):
        return _reshaped(rows, source, readings, reason)
    spark, risky = rows.df.sparkSession, [name for name, one in readings.items() if not one.is_safe]
    values = {name: expression(spark, text) for name, text in source.columns.items()}
    tried = rows.df.select("*", *(raises(spark, values[name]).alias(f"__raises_{name}") for name in risky))
    stop = F.coalesce(STOP, *(F.when(F.col(f"__raises_{name}"), F.lit(reason(name))) for name in risky))
    chosen = [
        (F.when(~F.col(f"__raises_{name}"), value) if name in risky else value).alias(f"raw_{name}")
        for name, value in values.items()
    ]
    return Evaluated(tried.select(*chosen, stop.alias(STOP), rows.content.alias(ROW)))


def _reshaped(rows: Rows, source: Source, readings: Mapping[str, Reading], reason: Callable[[str], str]) -> Evaluated:
    """Return the groups of `group_by`, or the rows of a generator or window, made of the good rows alone.

    A row is good where nothing that is evaluated on the single row raises an error.
    """
    spark, df = rows.df.sparkSession, rows.df
    parts = [(reason(name), part) for name, one in readings.items() for part in one.inputs]
    parts += [("bad_value", expression(spark, key)) for key in source.group_by]
    stop = F.coalesce(STOP, *(F.when(raises(spark, part), F.lit(why)) for why, part in parts))
    early = df.where(stop.isNotNull()).select(stop.alias(REASON), rows.content.alias(ROW))
    values = _values(df.where(stop.isNull()), source)
    given = as_json(spark, [F.col(f"raw_{name}").alias(name) for name in source.columns])
    stops = (F.when(F.col(f"__raises_{name}"), F.lit(reason(name))) for name in source.columns)
    return Evaluated(
        values.select(*(f"raw_{name}" for name in source.columns), F.coalesce(*stops).alias(STOP), given.alias(ROW)),
        early,
    )


def _values(df: DataFrame, source: Source) -> DataFrame:
    """Return `raw_NAME` of each expression, and ``__raises_NAME``: whether it raises on what the rows were made to."""
    spark = df.sparkSession
    # Where Spark refuses a plan, it counts as run, and the rows that `observe` counts in it are lost.
    probe = spark.createDataFrame([], df.schema)
    chosen: dict[str, Column] = {}
    for name, text in source.columns.items():
        value = expression(spark, text)
        fails = raises(spark, value)
        tried = {f"__raises_{name}": fails, f"raw_{name}": F.when(~fails, value)}
        try:
            _grouped(probe, source, tried)
        except SparkFailure:
            # A generator must stand alone. What it reads has been tried on the single rows.
            tried = {f"__raises_{name}": F.lit(False), f"raw_{name}": value}
        chosen |= tried
    return _grouped(df, source, chosen)


def _grouped(df: DataFrame, source: Source, columns: Mapping[str, Column]) -> DataFrame:
    named = [column.alias(name) for name, column in columns.items()]
    if not source.group_by:
        return df.select(*named)
    # The keys come first. They may have the name of any column, but hardly of one of these.
    return df.groupBy(*map(F.expr, source.group_by)).agg(*named).select(*columns)


def as_json(spark: SparkSession, columns: Sequence[Column]) -> Column:
    """Return the columns as one JSON object with its nulls; null where Spark cannot write one of them as JSON."""
    json = F.to_json(F.struct(*columns), {"ignoreNullFields": "false"})
    return F.when(~raises(spark, json), json)
