"""Contract tables become the tables of a run: interactions, items, users and the rest, and the rejected rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame, Observation, Window
from pyspark.sql import functions as F

from recsys_spark.contract import BEHAVIOURS, CONTRACT, INTERACTIONS, ITEMS, RELATIONS, SELECTED_USERS, USERS
from recsys_spark.ingest.sources import Mapped
from recsys_spark.schema import Table
from recsys_spark.tables import REJECTED_ROWS


@dataclass(frozen=True)
class Ingested:
    """The tables that ingest writes: what ``contract.CONTRACT`` stores, and `rejected_rows`."""

    frames: Mapping[str, DataFrame]
    """Table name -> rows."""
    given: frozenset[str]
    """Names of the contract tables that have a source. The others are empty, which is not the same as an empty list."""
    merged: Mapping[str, Observation]
    """Contract table -> `merged`, the rows equal to another one, once its table and rejected_rows were written."""

    def __getitem__(self, table: Table) -> DataFrame:
        """Return the rows of a table."""
        return self.frames[table.name]

    def each(self, write: Callable[[Table, DataFrame], DataFrame]) -> Ingested:
        """Return the tables that ``write`` returns when it is called with each of these."""
        stored = [*(entry.stored for entry in CONTRACT.values()), REJECTED_ROWS]
        return replace(self, frames={table.name: write(table, self[table]) for table in stored})


@dataclass(frozen=True)
class _Run:
    """What the tables are built from, besides their own rows."""

    mapped: Mapping[str, Mapped]
    items: DataFrame
    """ITEMS, one row per item."""
    as_of: datetime
    held_out: DataFrame | None
    extra_users: DataFrame | None
    merged: Mapping[str, Observation]

    def accepted(self, table: Table) -> DataFrame:
        """Return the accepted rows of a contract table; none where it has no source."""
        return self.mapped[table.name].accepted if table.name in self.mapped else _no_rows(self.items, table)


_Built = tuple[DataFrame, DataFrame | None]
"""The rows that are kept, and rejected_rows with the others."""


def build_ingest(
    mapped: Mapping[str, Mapped],
    *,
    as_of: datetime,
    held_out: DataFrame | None = None,
    extra_users: DataFrame | None = None,
) -> Ingested:
    """Return the run's tables: behaviours before ``as_of`` on items of the catalogue, one row per item and user.

    ``mapped``: the contract tables that have a source, by name; `behaviours` and `items` are among them. ``held_out``
    (user_id, item_id): pairs that a backtest hides from the interactions. ``extra_users`` (user_id): users to serve
    whom no source may name; users of `selected_users` are served in the same way. Behaviours at or after ``as_of`` are
    left out without being rejected: they have not happened yet.
    """
    merged = {name: Observation() for name in mapped}
    items, duplicates = one_row_per_id(mapped[ITEMS.name].accepted, ITEMS, "duplicate_item", merged[ITEMS.name])
    run = _Run(mapped, items, as_of, held_out, extra_users, merged)
    rejected = [*(given.rejected for given in mapped.values()), duplicates]
    frames = {ITEMS.name: ITEMS.conform(items)}
    for entry in CONTRACT.values():
        if entry.stored.name not in frames:
            kept, others = _OWN_WAY.get(entry.table.name, _distinct)(run, entry.table)
            frames[entry.stored.name] = entry.stored.conform(kept)
            rejected += [] if others is None else [others]
    frames[REJECTED_ROWS.name] = REJECTED_ROWS.conform(reduce(DataFrame.unionByName, rejected))
    return Ingested(frames, frozenset(mapped), merged)


def _distinct(run: _Run, table: Table) -> _Built:
    """The distinct rows of a table; a row on an item outside the catalogue is rejected."""
    if table.name not in run.mapped:
        return run.accepted(table), None
    rows = run.accepted(table)
    if "item_id" not in table.names:
        return _merged(rows, table.names, run.merged[table.name]), None
    ids = run.items.select("item_id")
    known = rows.join(ids, on="item_id", how="left_semi").select(*table.names)
    others = rows.join(ids, on="item_id", how="left_anti")
    return _merged(known, table.names, run.merged[table.name]), _rejected(others, table, "unknown_item")


def _merged(rows: DataFrame, key: list[str], merged: Observation, *kept: Column) -> DataFrame:
    """Return one row per ``key`` with the aggregates ``kept``, and count in ``merged`` those that are no longer there.

    The count is made while the rows are merged, and not from what is left: it shows where rows are lost.
    """
    n = "__n"
    counted = rows.groupBy(*key).agg(F.count(F.lit(1)).alias(n), *kept)
    observed = counted.observe(merged, F.coalesce(F.sum(F.col(n) - 1), F.lit(0)).alias("merged"))
    return observed.drop(n)


def _interactions(run: _Run, table: Table) -> _Built:
    ids = run.items.select("item_id")
    earlier = run.accepted(table).where(F.col("ts") < F.lit(run.as_of))
    known = earlier.join(ids, on="item_id", how="left_semi").select(*INTERACTIONS.names)
    kept = _merged(known, INTERACTIONS.names, run.merged[table.name])
    if run.held_out is not None:
        kept = kept.join(run.held_out, on=["user_id", "item_id"], how="left_anti")
    # Not distinct: every rejected behaviour counts.
    return kept, _rejected(earlier.join(ids, on="item_id", how="left_anti"), table, "unknown_item")


def _users(run: _Run, table: Table) -> _Built:
    known, duplicates = run.accepted(table), None
    if table.name in run.mapped:
        known, duplicates = one_row_per_id(known, table, "duplicate_user", run.merged[table.name])
    to_serve = run.accepted(SELECTED_USERS).distinct()
    if run.extra_users is not None:
        to_serve = to_serve.unionByName(run.extra_users.select("user_id"))
    absent = to_serve.distinct().join(known, on="user_id", how="left_anti")
    return known.unionByName(absent, allowMissingColumns=True), duplicates


def _relations(run: _Run, table: Table) -> _Built:
    # A pair may be given twice. Its largest weight is kept.
    if table.name not in run.mapped:
        return run.accepted(table), None
    weight = F.max("weight").alias("weight")
    return _merged(run.accepted(table), ["user_id", "friend_id"], run.merged[table.name], weight), None


_OWN_WAY: dict[str, Callable[[_Run, Table], _Built]] = {
    BEHAVIOURS.name: _interactions,
    USERS.name: _users,
    RELATIONS.name: _relations,
}
"""How a contract table is built, where distinct rows on items of the catalogue are not all there is to it."""


def one_row_per_id(rows: DataFrame, table: Table, reason: str, merged: Observation) -> tuple[DataFrame, DataFrame]:
    """Return (one row per id, rejected_rows with the other contents of the same id).

    Equal rows are merged, which ``merged`` counts while the others are written. Of different rows the first by content
    stays, in whatever order they were read. A present title comes before a missing one.
    """
    key = table.key[0]
    with_content = rows.select(key, _whole(table).alias("whole")).withColumn("content", _json(F.col("whole")))
    # Aggregated before sorting, so that an id repeated a million times is merged where it is read.
    kept = with_content.groupBy(key).agg(F.min_by("whole", "content").alias("whole")).select("whole.*")
    contents = _merged(with_content.select(key, "content"), [key, "content"], merged)
    order = Window.partitionBy(key).orderBy("content")
    others = contents.select("content", F.row_number().over(order).alias("position")).where(F.col("position") > 1)
    return kept, others.select(
        F.lit(table.name).alias("table"), F.lit(reason).alias("reason"), F.col("content").alias("row")
    )


def _whole(table: Table) -> Column:
    """Return the row as a struct. Maps are sorted by key, because a map keeps the order in which it was built."""
    in_order = F.map_from_entries(F.array_sort(F.map_entries("attributes"))).alias("attributes")
    return F.struct(*(in_order if name == "attributes" else F.col(name) for name in table.names))


def _json(row: Column) -> Column:
    # With nulls, so that a missing title sorts after every present one and is visible in rejected_rows.
    return F.to_json(row, {"ignoreNullFields": "false"})


def _rejected(rows: DataFrame, table: Table, reason: str) -> DataFrame:
    row = _json(F.struct(*table.names)).alias("row")
    return rows.select(F.lit(table.name).alias("table"), F.lit(reason).alias("reason"), row)


def _no_rows(any_frame: DataFrame, table: Table) -> DataFrame:
    return any_frame.select(*(F.lit(None).cast(c.type).alias(c.name) for c in table.columns)).where(F.lit(False))
