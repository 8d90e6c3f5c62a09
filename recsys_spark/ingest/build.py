"""ingest: contract tables -> the run's interactions, items, users and the rest, and the rows that were not used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.ingest.checks import check_top_n, check_top_n_of_list, validate_ingested
from recsys_spark.tables import (
    ALLOW_LIST,
    BEHAVIOURS,
    DENY_LIST,
    INTERACTIONS,
    ITEMS,
    REJECTED_ROWS,
    RELATIONS,
    SELECTED_USERS,
    USERS,
    Table,
)

if TYPE_CHECKING:
    from recsys_spark.ingest.sources import Mapped

__all__ = ["Ingested", "build_ingest", "check_top_n", "check_top_n_of_list", "one_row_per_id", "validate_ingested"]


@dataclass(frozen=True)
class Ingested:
    """What the ingest stage writes; each member has the columns of the table of its name."""

    interactions: DataFrame
    items: DataFrame
    users: DataFrame
    relations: DataFrame
    allow_list: DataFrame
    deny_list: DataFrame
    selected_users: DataFrame
    rejected_rows: DataFrame


def build_ingest(
    behaviours: Mapped,
    items: Mapped,
    users: Mapped | None,
    relations: Mapped | None,
    cfg: Config,
    *,
    as_of: datetime,
    held_out: DataFrame | None = None,
    extra_users: DataFrame | None = None,
    allow_list: Mapped | None = None,
    deny_list: Mapped | None = None,
    selected_users: Mapped | None = None,
) -> Ingested:
    """Return the run's tables: behaviours before ``as_of`` on items of the catalogue, one row per item and user.

    ``held_out`` (user_id, item_id): pairs that a backtest hides from the interactions. ``extra_users`` (user_id):
    users to serve who may be in no source, as those of ``selected_users`` may. Later behaviours are no error: they are
    simply not there yet. A table that is None has no rows, which is not the same as an empty list: whoever applies a
    list must know whether it was given.
    """
    given = (behaviours, items, users, relations, allow_list, deny_list, selected_users)
    rejected = [m.rejected for m in given if m is not None]
    catalogue, duplicate_items = one_row_per_id(items.accepted, ITEMS, "duplicate_item")
    rejected.append(duplicate_items)

    earlier = behaviours.accepted.where(F.col("ts") < F.lit(as_of))
    ids = catalogue.select("item_id")
    rejected.append(_rejected(earlier.join(ids, on="item_id", how="left_anti"), BEHAVIOURS, "unknown_item"))
    interactions = earlier.join(ids, on="item_id", how="left_semi").select(*INTERACTIONS.names).distinct()
    if held_out is not None:
        interactions = interactions.join(held_out, on=["user_id", "item_id"], how="left_anti")

    known = _no_rows(catalogue, USERS)
    if users is not None:
        known, duplicate_users = one_row_per_id(users.accepted, USERS, "duplicate_user")
        rejected.append(duplicate_users)
    selected = _no_rows(catalogue, SELECTED_USERS) if selected_users is None else selected_users.accepted.distinct()
    to_serve = selected if extra_users is None else selected.unionByName(extra_users.select("user_id"))
    absent = to_serve.distinct().join(known, on="user_id", how="left_anti")
    known = known.unionByName(absent, allowMissingColumns=True)

    friends = _no_rows(catalogue, RELATIONS)
    if relations is not None:
        # A pair given twice is no contradiction: the closest weight is what is known of it.
        friends = relations.accepted.groupBy("user_id", "friend_id").agg(F.max("weight").alias("weight"))

    allowed, unknown_allowed = _on_catalogue(allow_list, ALLOW_LIST, ids)
    denied, unknown_denied = _on_catalogue(deny_list, DENY_LIST, ids)
    rejected += [unknown_allowed, unknown_denied]

    return Ingested(
        INTERACTIONS.conform(interactions),
        ITEMS.conform(catalogue),
        USERS.conform(known),
        RELATIONS.conform(friends),
        ALLOW_LIST.conform(allowed),
        DENY_LIST.conform(denied),
        SELECTED_USERS.conform(selected),
        REJECTED_ROWS.conform(reduce(DataFrame.unionByName, rejected)),
    )


def one_row_per_id(rows: DataFrame, table: Table, reason: str) -> tuple[DataFrame, DataFrame]:
    """Return (one row per id, rejected_rows with the other contents of the same id).

    Equal rows are merged. Of different ones the first by content stays, whatever order they were read in; a
    present title comes before a missing one.
    """
    key = table.key[0]
    with_content = rows.select(key, _whole(table).alias("whole")).withColumn("content", _json(F.col("whole")))
    # Aggregated before anything is sorted, so that an id repeated a million times is merged where it is read.
    kept = with_content.groupBy(key).agg(F.min_by("whole", "content").alias("whole")).select("whole.*")
    contents = with_content.select(key, "content").distinct()
    order = Window.partitionBy(key).orderBy("content")
    others = contents.select("content", F.row_number().over(order).alias("position")).where(F.col("position") > 1)
    return kept, others.select(
        F.lit(table.name).alias("table"), F.lit(reason).alias("reason"), F.col("content").alias("row")
    )


def _whole(table: Table) -> Column:
    """The row as a struct. A map keeps the order it was built in, so equal maps are put in the order of their keys."""
    in_order = F.map_from_entries(F.array_sort(F.map_entries("attributes"))).alias("attributes")
    return F.struct(*(in_order if name == "attributes" else F.col(name) for name in table.names))


def _json(row: Column) -> Column:
    # With its nulls, so that a missing title sorts after every present one and can be seen in rejected_rows.
    return F.to_json(row, {"ignoreNullFields": "false"})


def _on_catalogue(mapped: Mapped | None, table: Table, ids: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return (distinct rows on the items of ``ids``, rejected_rows with the distinct others)."""
    if mapped is None:
        return _no_rows(ids, table), _no_rows(ids, REJECTED_ROWS)
    rows = mapped.accepted.distinct()
    others = rows.join(ids, on="item_id", how="left_anti")
    return rows.join(ids, on="item_id", how="left_semi"), _rejected(others, table, "unknown_item")


def _rejected(rows: DataFrame, table: Table, reason: str) -> DataFrame:
    row = _json(F.struct(*table.names)).alias("row")
    return rows.select(F.lit(table.name).alias("table"), F.lit(reason).alias("reason"), row)


def _no_rows(any_frame: DataFrame, table: Table) -> DataFrame:
    return any_frame.select(*(F.lit(None).cast(c.type).alias(c.name) for c in table.columns)).where(F.lit(False))
