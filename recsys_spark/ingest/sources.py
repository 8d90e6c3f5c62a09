"""Sources become contract tables: read, filter, join, group, map by expressions, and sort out bad rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from recsys_spark.config.sources import Join, Source, Sources
from recsys_spark.contract import Input
from recsys_spark.errors import SourceError, nearest
from recsys_spark.ingest.formats import open_source
from recsys_spark.ingest.row_checks import check_type, rejection_reason, typed
from recsys_spark.ingest.settings import reading_settings
from recsys_spark.ingest.source_errors import explain_expression, quiet_query_log, shown
from recsys_spark.schema import Table
from recsys_spark.spark.failures import SparkFailure
from recsys_spark.tables import REJECTED_ROWS

# What a null in these columns stands for.
_DEFAULTS = {"weight": 1.0, "available": True}


@dataclass(frozen=True)
class Mapped:
    """A contract table as its sources give it."""

    accepted: DataFrame
    """Columns of the contract table, in order and typed."""
    rejected: DataFrame
    """Columns of `rejected_rows`; `row` holds the source's columns, or the contract's where rows were grouped."""


def read_tables(spark: SparkSession, inputs: Iterable[Input], sources: Sources, *, now: datetime) -> dict[str, Mapped]:
    """Return the contract tables among ``inputs`` that have a source, by name. Raises what :func:`read_table`
    raises."""
    return {
        name: read_table(spark, read.table, sources.of(name), where=f"sources.{name}", now=now)
        for read in inputs
        if sources.of(name := read.table.name)
    }


def read_table(spark: SparkSession, table: Table, sources: Sequence[Source], *, where: str, now: datetime) -> Mapped:
    """Return the rows of all sources of a contract table.

    ``where`` names the sources in messages, such as `sources.items`. Rows at or after ``now`` are rejected.
    Spark reads only file listings and headers here. Raises SourceError where no row can be read: a file is missing or
    corrupt, a table or column is missing, an expression has a syntax error or the wrong type.
    """
    with reading_settings(spark), quiet_query_log():
        mapped = []
        for position, source in enumerate(sources):
            at = where if len(sources) == 1 else f"{where}[{position}]"
            _check_names(table, source, where=at)
            mapped.append(_sort_out(_map(_prepare(spark, source, where=at), table, source, where=at), table, now=now))
    return Mapped(
        reduce(DataFrame.unionByName, (m.accepted for m in mapped)),
        reduce(DataFrame.unionByName, (m.rejected for m in mapped)),
    )


def _check_names(table: Table, source: Source, *, where: str) -> None:
    for name in source.columns:
        if name not in table.names:
            close = nearest(name, table.names)
            raise SourceError(
                f"Column `{name}` does not exist in table {table.name}",
                where=f"{where}.columns",
                found=name,
                expected=shown(table.names),
                action=f"Did you mean `{close}`?" if close else "Remove it.",
            )
    missing = [col.name for col in table.columns if not col.nullable and col.name not in source.columns]
    if missing:
        raise SourceError(
            f"No expression is given for {', '.join(f'`{name}`' for name in missing)}",
            where=f"{where}.columns",
            found=shown(list(source.columns)),
            expected=f"an expression for {shown([c.name for c in table.columns if not c.nullable])}",
            action=f'Add {missing[0]} = "EXPRESSION".',
        )


def _prepare(spark: SparkSession, source: Source, *, where: str) -> DataFrame:
    """Return the rows of the source after `where` and `join`, with the source's column names."""
    df = open_source(spark, source, where=where).rows
    if source.where is not None:
        with _explained(df, source.where, where=f"{where}.where"):
            df = df.where(F.expr(source.where))
    for position, join in enumerate(source.join):
        at = f"{where}.join" if len(source.join) == 1 else f"{where}.join[{position}]"
        df = _join(df, _project(_prepare(spark, join, where=at), join, where=at), join, where=at)
    return df


def _join(df: DataFrame, side: DataFrame, join: Join, *, where: str) -> DataFrame:
    for names, whose in (
        (df.columns, "on the source's side of the join"),
        (side.columns, "among the `columns` of the join"),
    ):
        lacking = [name for name in join.on if name not in names]
        if lacking:
            close = nearest(lacking[0], names)
            raise SourceError(
                f"Column `{lacking[0]}` does not exist {whose}",
                where=f"{where}.on",
                found=lacking[0],
                expected=f"one of {shown(names)}",
                action=f"Did you mean `{close}`?" if close else "Join on columns that both sides have.",
            )
    taken = {name.lower() for name in df.columns}
    twice = [name for name in side.columns if name not in join.on and name.lower() in taken]
    if twice:
        raise SourceError(
            f"Both sides of the join have a column `{twice[0]}`",
            where=f"{where}.columns",
            found=shown(twice),
            expected="names that differ, except those of `on`",
            action="Give the join's column another name.",
        )
    return df.join(side, on=join.on, how="left")


def _project(df: DataFrame, source: Source, *, where: str) -> DataFrame:
    """Return the columns of a join's side: exactly those of `columns`, after `group_by`."""
    _types(df, source, where=where)
    with _explained(df, "; ".join(source.columns.values()), where=f"{where}.columns"):
        return _select(df, source, {name: F.expr(text) for name, text in source.columns.items()})


def _map(df: DataFrame, table: Table, source: Source, *, where: str) -> DataFrame:
    """Return the typed contract columns, each as `raw_NAME` as its expression gave it, and `row` as JSON."""
    types = _types(df, source, where=where)
    for name, found in types.items():
        check_type(table.column(name), found, source.columns[name], where=f"{where}.columns.{name}")
    columns = []
    for col in table.columns:
        raw = F.col(f"raw_{col.name}") if col.name in types else F.lit(None)
        if isinstance(types.get(col.name), StringType) and not isinstance(col.type, StringType):
            raw = F.nullif(F.trim(raw), F.lit(""))  # an empty CSV cell is a missing number, not an unreadable one
        columns += [typed(col, raw).alias(col.name), raw.alias(f"raw_{col.name}")]
    with _explained(df, "; ".join(source.columns.values()), where=f"{where}.columns"):
        as_given = _with_row(df, source)
    return as_given.select(*columns, "row")


def _types(df: DataFrame, source: Source, *, where: str) -> dict[str, DataType]:
    """Return the type of each of `columns`. They are analysed one by one, so that an error names its expression."""
    for key in source.group_by:
        with _explained(df, key, where=f"{where}.group_by"):
            df.select(F.expr(key))
    types = {}
    for name, text in source.columns.items():
        with _explained(df, text, where=f"{where}.columns.{name}"):
            types[name] = _select(df, source, {"it": F.expr(text)}).schema["it"].dataType
    return types


@contextmanager
def _explained(df: DataFrame, text: str, *, where: str) -> Iterator[None]:
    try:
        yield
    except SparkFailure as error:
        raise explain_expression(error, text, where=where, columns=df.columns) from error


def _with_row(df: DataFrame, source: Source) -> DataFrame:
    """Return `raw_NAME` of every mapped column, and `row`, by which people recognise the row."""
    chosen = {f"raw_{name}": F.expr(text) for name, text in source.columns.items()}
    options = {"ignoreNullFields": "false"}
    if not source.group_by:
        return _select(df, source, {**chosen, "row": F.to_json(F.struct("*"), options)})
    given = F.struct(*(F.col(f"raw_{name}").alias(name) for name in source.columns))
    return _select(df, source, chosen).select("*", F.to_json(given, options).alias("row"))


def _select(df: DataFrame, source: Source, columns: Mapping[str, Column]) -> DataFrame:
    if not source.group_by:
        return df.select(*(column.alias(name) for name, column in columns.items()))
    # A group key may have the name of a chosen column; the names would then be ambiguous.
    aggregates = [column.alias(f"__{name}") for name, column in columns.items()]
    grouped = df.groupBy(*map(F.expr, source.group_by)).agg(*aggregates)
    return grouped.select(*(F.col(f"__{name}").alias(name) for name in columns))


def _sort_out(mapped: DataFrame, table: Table, *, now: datetime) -> Mapped:
    flagged = mapped.withColumn("reason", rejection_reason(table, now=now))
    accepted = flagged.where(F.col("reason").isNull()).select(
        *(
            F.coalesce(name, F.lit(_DEFAULTS[name])).alias(name) if name in _DEFAULTS else F.col(name)
            for name in table.names
        )
    )
    rejected = flagged.where(F.col("reason").isNotNull()).select(F.lit(table.name).alias("table"), "reason", "row")
    return Mapped(accepted, REJECTED_ROWS.conform(rejected))
