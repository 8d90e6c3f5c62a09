"""ingest: contract tables -> the run's interactions, items, users and relations, and the rows that were not used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config import Config
from recsys_spark.errors import DataError, nearest
from recsys_spark.tables import BEHAVIOURS, INTERACTIONS, ITEMS, REJECTED_ROWS, RELATIONS, USERS, Table

if TYPE_CHECKING:
    from recsys_spark.sources import Mapped

_N_TYPES_SHOWN = 20


@dataclass(frozen=True)
class Ingested:
    """What the ingest stage writes; each member has the columns of the table of its name."""

    interactions: DataFrame
    items: DataFrame
    users: DataFrame
    relations: DataFrame
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
) -> Ingested:
    """Return the run's tables: behaviours before ``as_of`` on items of the catalogue, one row per item and user.

    ``held_out`` (user_id, item_id): pairs that a backtest hides from the interactions. ``extra_users`` (user_id):
    users to serve who may be in no source. Later behaviours are no error: they are simply not there yet.
    """
    rejected = [m.rejected for m in (behaviours, items, users, relations) if m is not None]
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
    if extra_users is not None:
        absent = extra_users.select("user_id").distinct().join(known, on="user_id", how="left_anti")
        known = known.unionByName(absent, allowMissingColumns=True)

    friends = _no_rows(catalogue, RELATIONS)
    if relations is not None:
        # A pair given twice is no contradiction: the closest weight is what is known of it.
        friends = relations.accepted.groupBy("user_id", "friend_id").agg(F.max("weight").alias("weight"))

    return Ingested(
        INTERACTIONS.conform(interactions),
        ITEMS.conform(catalogue),
        USERS.conform(known),
        RELATIONS.conform(friends),
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


def validate_ingested(ingested: Ingested, cfg: Config, *, as_of: datetime, earliest_ts: datetime | None) -> None:
    """Raise DataError where the job cannot be run on what was ingested.

    ``ingested`` as read back from the store; ``earliest_ts``: the earliest accepted behaviour, None without any.
    """
    _check_items(ingested, cfg)
    _check_interactions(ingested, as_of=as_of, earliest_ts=earliest_ts)
    _check_behaviour_types(ingested, cfg)


def _check_items(ingested: Ingested, cfg: Config) -> None:
    n_items, n_available = ingested.items.agg(F.count("*"), F.count_if("available")).head() or (0, 0)
    if n_items == 0:
        raise DataError(
            "There are no items",
            where="sources.items",
            found=_rejections(ingested, ITEMS),
            expected="at least one item",
            action="Check `path`, `where` and the expression of item_id; rejected rows say why rows were not used.",
        )
    if n_available < cfg.run.top_n:
        hidden = f" ({n_items - n_available} more are not available)" if n_items > n_available else ""
        raise DataError(
            "run.top_n is larger than the catalogue",
            where="run.top_n",
            found=f"top_n = {cfg.run.top_n}, and {n_available} items that may be recommended{hidden}",
            expected=f"top_n of at most {n_available}",
            action="Lower run.top_n (and evaluate.k), or check that sources.items is complete.",
        )


def _check_interactions(ingested: Ingested, *, as_of: datetime, earliest_ts: datetime | None) -> None:
    if not ingested.interactions.isEmpty():
        return
    found = _rejections(ingested, BEHAVIOURS)
    if earliest_ts is None:
        raise DataError(
            "There are no behaviours at all",
            where="sources.behaviours",
            found=found,
            expected="at least one behaviour",
            action="Check `path`, `where` and `columns`; the reasons above say what was wrong with the rows.",
        )
    if _utc(earliest_ts) >= _utc(as_of):
        raise DataError(
            "There are no behaviours before as_of",
            where="as_of",
            found=f"as_of {_utc(as_of):%Y-%m-%d %H:%M:%S}, earliest behaviour {_utc(earliest_ts):%Y-%m-%d %H:%M:%S} (UTC)",
            expected="as_of after the earliest behaviour",
            action="Pass a later --as-of or --run-date.",
        )
    raise DataError(
        "No behaviour before as_of is on an item of the catalogue",
        where="sources.behaviours",
        found=found,
        expected="item_id values that sources.items has, too",
        action="Compare the expressions of item_id in sources.behaviours and sources.items.",
    )


def _check_behaviour_types(ingested: Ingested, cfg: Config) -> None:
    weights = cfg.behaviours.weights
    if cfg.behaviours.default_weight is not None:
        return
    unknown = ingested.interactions.where(~F.col("behaviour").isin(list(weights)) if weights else F.lit(True))
    counts = unknown.groupBy("behaviour").count().orderBy(F.desc("count"), "behaviour").limit(_N_TYPES_SHOWN + 1)
    types = [(str(name), int(n)) for name, n in counts.collect()]
    if not types:
        return
    listed = ", ".join(f"{name} ({n} rows)" for name, n in types[:_N_TYPES_SHOWN])
    close = {name: nearest(name, weights) for name, _ in types[:_N_TYPES_SHOWN]}
    guesses = "; ".join(f"did you mean `{known}` for `{name}`?" for name, known in close.items() if known)
    raise DataError(
        "There are behaviour types without a weight",
        where="behaviours.weights",
        found=listed + (" and more" if len(types) > _N_TYPES_SHOWN else ""),
        expected=f"one of {', '.join(weights)}" if weights else "a weight for every type",
        action=f"Add them to [behaviours.weights], or set behaviours.default_weight{'; ' + guesses if guesses else ''}",
    )


def _rejections(ingested: Ingested, table: Table) -> str:
    """Say how many rows of a table were rejected, and why."""
    rows = ingested.rejected_rows.where(F.col("table") == table.name)
    counts = rows.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    if not counts:
        return "no rows"
    return "no usable row; rejected: " + ", ".join(f"{reason} {n}" for reason, n in counts)


def _rejected(rows: DataFrame, table: Table, reason: str) -> DataFrame:
    row = _json(F.struct(*table.names)).alias("row")
    return rows.select(F.lit(table.name).alias("table"), F.lit(reason).alias("reason"), row)


def _no_rows(any_frame: DataFrame, table: Table) -> DataFrame:
    return any_frame.select(*(F.lit(None).cast(c.type).alias(c.name) for c in table.columns)).where(F.lit(False))


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
