"""Reads one source after another of a contract table into staging tables, sides of joins first."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import NullType, StringType

from recsys_spark.config.sources import Join, Source
from recsys_spark.errors import DataError, SourceError, nearest
from recsys_spark.ingest.accounts import Account
from recsys_spark.ingest.expressions import check_key, checked
from recsys_spark.ingest.formats import open_source
from recsys_spark.ingest.row_checks import IDS, check_type, null_word, reason_raised, rejection_reason, typed
from recsys_spark.ingest.source_errors import explain_reading, shown
from recsys_spark.ingest.staging import REASON, ROW, STOP, Evaluated, Rows, Stage, evaluate, kept_rows
from recsys_spark.schema import Table
from recsys_spark.spark.expressions import Reading, quoted
from recsys_spark.spark.failures import SparkFailure, worker_error
from recsys_spark.spark.observed import observed

log = logging.getLogger("recsys_spark")
# What a null in these columns stands for.
_DEFAULTS = {"weight": 1.0, "available": True}
_MANY = 0.01
_NULL_WORD = "__null_word"
_ELSEWHERE = re.compile(
    "No space left on device|Disk quota exceeded|OutOfMemoryError|ExecutorLostFailure|Context was shut down|cancelled"
)
"""Failures of the machine or the store while a source is read. They are not the source's."""


@dataclass(frozen=True)
class Staged:
    """One source, read."""

    accepted: DataFrame
    rejected: DataFrame
    """`reason` and `row`, those of the sides of joins as well."""
    accounts: tuple[Account, ...]
    n_later: int


@dataclass(frozen=True)
class Reader:
    """Reads the sources of a contract table. Raises SourceError and DataError."""

    spark: SparkSession
    stage: Stage
    now: datetime
    as_of: datetime | None

    def table(self, table: Table, source: Source, *, name: str, where: str) -> Staged:
        """Return the rows of a source as columns of a contract table; ``name`` is free for its staging table."""
        rows, sides = self._joined(source, name=name, where=where)
        readings = _readings(rows, source, where=where)
        for column, found in readings.items():
            at, text = f"{where}.columns.{column}", source.columns[column]
            check_type(table.column(column), found.type, text, where=at)
            check_key(table.column(column), text, found, where=at, columns=rows.columns)
        values = evaluate(rows, source, readings, reason_raised)
        mapped = values.df.select(*_typed(table, readings), STOP, ROW)
        reason = F.coalesce(STOP, rejection_reason(table, now=self.now))
        flagged = mapped.select(*_accepted(table), reason.alias(REASON), ROW)
        return self._staged(flagged, table.names, values, rows, source, sides, name=name, where=where)

    def _side(self, join: Join, *, name: str, where: str) -> Staged:
        """Return the rows of the side of a join: exactly its `columns`, after `group_by`."""
        rows, sides = self._joined(join, name=name, where=where)
        readings = _readings(rows, join, where=where)
        values = evaluate(rows, join, readings, lambda _: "bad_value")
        # Parquet has no column of nulls alone.
        chosen = [
            (F.col(f"raw_{n}").cast(StringType()) if isinstance(one.type, NullType) else F.col(f"raw_{n}")).alias(n)
            for n, one in readings.items()
        ]
        flagged = values.df.select(*chosen, F.col(STOP).alias(REASON), ROW)
        return self._staged(flagged, list(readings), values, rows, join, sides, name=name, where=where)

    def _joined(self, source: Source, *, name: str, where: str) -> tuple[Rows, list[Staged]]:
        rows = kept_rows(self.spark, open_source(self.spark, source, where=where), source, where=where)
        sides = []
        for position, join in enumerate(source.join):
            at = f"{where}.join" if len(source.join) == 1 else f"{where}.join[{position}]"
            side = self._side(join, name=f"{name}-join-{position}", where=at)
            _check_join(rows.columns, side.accepted.columns, join, where=at)
            added = [column for column in side.accepted.columns if column not in join.on]
            joined = rows.df.join(side.accepted, on=join.on, how="left")
            rows = replace(rows, df=joined, columns=[*rows.columns, *added])
            sides.append(side)
        return rows, sides

    def _staged(
        self,
        flagged: DataFrame,
        names: list[str],
        values: Evaluated,
        rows: Rows,
        source: Source,
        sides: list[Staged],
        *,
        name: str,
        where: str,
    ) -> Staged:
        """Store the rows with their reasons, and return them with the source's account."""
        if values.early is not None:
            flagged = flagged.unionByName(values.early, allowMissingColumns=True)
        content = F.when(F.col(REASON).isNotNull(), F.coalesce(ROW, F.lit("a row that cannot be shown"))).alias(ROW)
        try:
            odd = null_word(names).alias(_NULL_WORD)
            stored = self.stage(name, flagged.select(*map(quoted, names), REASON, content, odd))
            summary = self._summary(stored, names)
        except SparkFailure as error:
            if (ours := worker_error(str(error))) is not None:
                raise ours from error
            if _ELSEWHERE.search(str(error)):
                raise
            raise explain_reading(error, self.spark, source, where=where) from error
        account = _account(rows, values, source, summary, where=where)
        _warn_of_null_words(stored, summary, where=where)
        rejected = stored.where(F.col(REASON).isNotNull()).select(REASON, ROW)
        for side in sides:
            rejected = rejected.unionByName(side.rejected)
        accounts = (account, *(other for side in sides for other in side.accounts))
        accepted = stored.where(F.col(REASON).isNull()).select(*map(quoted, names))
        return Staged(accepted, rejected, accounts, summary["later"])

    def _summary(self, stored: DataFrame, names: list[str]) -> dict[str, int]:
        """Return counts of the rows by what became of them, from the staging table alone."""
        good = F.col(REASON).isNull()
        later = good & (F.col("ts") >= F.lit(self.as_of)) if "ts" in names and self.as_of else F.lit(False)
        counts = [F.count(F.lit(1)).alias("all"), F.count_if(good).alias("good"), F.count_if(later).alias("later")]
        words = F.count_if(good & F.col(_NULL_WORD).isNotNull()).alias("words")
        return dict(stored.agg(*counts, words).collect()[0].asDict())


def _check_join(ours: list[str], theirs: list[str], join: Join, *, where: str) -> None:
    for names, whose in (
        (ours, "on the source's side of the join"),
        (theirs, "among the `columns` of the join"),
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
    taken = {name.lower() for name in ours}
    twice = [name for name in theirs if name not in join.on and name.lower() in taken]
    if twice:
        raise SourceError(
            f"Both sides of the join have a column `{twice[0]}`",
            where=f"{where}.columns",
            found=shown(twice),
            expected="names that differ, except those of `on`",
            action="Give the join's column another name.",
        )


def _readings(rows: Rows, source: Source, *, where: str) -> dict[str, Reading]:
    """Return what each of `columns` reads. They are analysed one by one, so that an error names its expression."""
    for key in source.group_by:
        checked(rows.df, key, where=f"{where}.group_by", columns=rows.columns)
    return {
        name: checked(rows.df, text, where=f"{where}.columns.{name}", columns=rows.columns, group_by=source.group_by)
        for name, text in source.columns.items()
    }


def _typed(table: Table, readings: Mapping[str, Reading]) -> list[Column]:
    """Return the contract's columns with their types, and what was given for each as `raw_NAME`."""
    columns = []
    for col in table.columns:
        raw = F.col(f"raw_{col.name}") if col.name in readings else F.lit(None)
        from_text = col.name in readings and isinstance(readings[col.name].type, StringType)
        if from_text and not isinstance(col.type, StringType):
            # An empty CSV cell is a missing number, not an unreadable one.
            raw = F.nullif(F.trim(raw), F.lit(""))
        columns += [typed(col, raw).alias(col.name), raw.alias(f"raw_{col.name}")]
    return columns


def _accepted(table: Table) -> list[Column]:
    return [
        F.coalesce(name, F.lit(_DEFAULTS[name])).alias(name) if name in _DEFAULTS else F.col(name)
        for name in table.names
    ]


def _account(rows: Rows, values: Evaluated, source: Source, summary: Mapping[str, int], *, where: str) -> Account:
    """Return the source's account. Raises DataError where it does not add up."""
    rejected, accepted = summary["all"] - summary["good"], summary["good"]
    may_reshape = bool(source.join) or values.early is not None

    def of(counts: Mapping[str, int]) -> Account:
        used = counts["filtered"] + rejected + accepted
        account = Account(
            where, counts["read"], counts["filtered"], rejected, accepted, used - counts["read"] if may_reshape else 0
        )
        account.check(may_reshape=may_reshape, n_rows=rows.n_rows)
        return account

    counts = {"read": rows.n_rows or 0, "filtered": 0} if rows.counted is None else observed(rows.counted)
    try:
        return of(counts or rows.recounted())
    except DataError:
        # Where an executor was lost, Spark ran tasks again, and their rows were counted twice. A scan that only counts
        # also says how many rows there are where the number from the files does not fit.
        return of(rows.recounted())


def _warn_of_null_words(stored: DataFrame, summary: Mapping[str, int], *, where: str) -> None:
    if summary["words"] <= _MANY * summary["good"]:
        return
    odd = stored.where(F.col(REASON).isNull() & F.col(_NULL_WORD).isNotNull())
    names = [name for name in IDS if name in stored.columns]
    word = F.coalesce(*(F.when(F.col(_NULL_WORD) == name, F.col(name)) for name in names)).alias("word")
    counts = odd.select(F.col(_NULL_WORD).alias("id"), word).groupBy("id", "word").count()
    for row in counts.where(F.col("count") > _MANY * summary["good"]).orderBy("id", "word").collect():
        log.warning(
            "%s: %s rows have the %s `%s`, which looks like a missing value; it is used as an id like any other. "
            "To leave such rows out, set where = \"%s <> '%s'\" over the source's own column",
            where,
            f"{row['count']:,}",
            row["id"],
            row["word"],
            row["id"],
            row["word"],
        )
