"""Sources become contract tables: read, filter, join, group, map by expressions, and sort out bad rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sources import Source, Sources
from recsys_spark.contract import Input
from recsys_spark.errors import SourceError, nearest
from recsys_spark.ingest.accounts import Account
from recsys_spark.ingest.reader import Reader
from recsys_spark.ingest.settings import reading_settings
from recsys_spark.ingest.source_errors import quiet_query_log, shown
from recsys_spark.ingest.staging import Stage
from recsys_spark.schema import Table
from recsys_spark.tables import REJECTED_ROWS


@dataclass(frozen=True)
class Mapped:
    """A contract table as its sources give it."""

    accepted: DataFrame
    """Columns of the contract table, in order and typed."""
    rejected: DataFrame
    """Columns of `rejected_rows`; `row` holds the source's columns, or the contract's where rows were grouped."""
    accounts: tuple[Account, ...] = ()
    """What became of the rows of each source, and of the side of each join."""
    n_accepted: int = 0
    """Accepted rows of all sources."""
    n_later: int = 0
    """Accepted rows at or after `as_of`; 0 where a table has no time."""


def read_tables(
    spark: SparkSession, inputs: Iterable[Input], sources: Sources, *, now: datetime, as_of: datetime, stage: Stage
) -> dict[str, Mapped]:
    """Return the contract tables among ``inputs`` that have a source, by name. Raises what :func:`read_table`
    raises."""
    return {
        name: read_table(
            spark, read.table, sources.of(name), where=f"sources.{name}", now=now, as_of=as_of, stage=stage
        )
        for read in inputs
        if sources.of(name := read.table.name)
    }


def read_table(
    spark: SparkSession,
    table: Table,
    sources: Sequence[Source],
    *,
    where: str,
    now: datetime,
    as_of: datetime | None = None,
    stage: Stage,
) -> Mapped:
    """Return the rows of all sources of a contract table, as ``stage`` stored them.

    ``where`` names the sources in messages, such as `sources.items`. Rows at or after ``now`` are rejected. Raises
    SourceError where a source cannot be read: a file is missing or corrupt, a table or column is missing, an expression
    has a syntax error or the wrong type. Raises DataError where the rows read do not add up.
    """
    with reading_settings(spark), quiet_query_log():
        reader, mapped = Reader(spark, stage, now, as_of), []
        for position, source in enumerate(sources):
            at = where if len(sources) == 1 else f"{where}[{position}]"
            _check_names(table, source, where=at)
            mapped.append(reader.table(table, source, name=f"{table.name}-{position}", where=at))
    return Mapped(
        reduce(DataFrame.unionByName, (m.accepted for m in mapped)),
        reduce(DataFrame.unionByName, (_named(table, m.rejected) for m in mapped)),
        tuple(account for m in mapped for account in m.accounts),
        sum(m.accounts[0].accepted for m in mapped),
        sum(m.n_later for m in mapped),
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


def _named(table: Table, rejected: DataFrame) -> DataFrame:
    return REJECTED_ROWS.conform(rejected.select(F.lit(table.name).alias("table"), "reason", "row"))
