"""Checks whether the job can run on what was ingested; they are part of the ingest stage."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.contract import ALLOW_LIST, BEHAVIOURS, INTERACTIONS, ITEMS, SELECTED_USERS
from recsys_spark.errors import DataError, nearest
from recsys_spark.ingest.build import Ingested
from recsys_spark.schema import Table
from recsys_spark.tables import REJECTED_ROWS

_N_TYPES_SHOWN = 20
_N_ROWS_SEEN = 20
_EPOCH = re.compile(r"\d{10}(\d{3}){0,3}(\.\d+)?")
"""Seconds since 1970, or 1000, 1000^2 or 1000^3 times as many."""
_N_IDS_SHOWN = 3


def validate_ingested(ingested: Ingested, cfg: Config, *, as_of: datetime, behaviours: DataFrame) -> None:
    """Raise DataError where the job cannot run on what was ingested.

    ``ingested``: the tables as read back from the store. ``behaviours``: the accepted behaviours, read only to explain
    why there are no interactions.
    """
    _check_items(ingested, cfg)
    if ALLOW_LIST.name in ingested.given:
        _check_allow_list(ingested, cfg)
    if SELECTED_USERS.name in ingested.given:
        _check_selected_users(ingested)
    _check_interactions(ingested, behaviours, as_of=as_of)
    _check_behaviour_types(ingested, cfg)


def _check_items(ingested: Ingested, cfg: Config) -> None:
    n_items, n_available = ingested[ITEMS].agg(F.count("*"), F.count_if("available")).head() or (0, 0)
    if n_items == 0:
        raise DataError(
            "There are no items",
            where="sources.items",
            found=_rejections(ingested, ITEMS),
            expected="at least one item",
            action="Check `path`, `where` and the expression of item_id. rejected_rows says why rows were not used.",
        )
    check_top_n(cfg, n_items, n_available)


def check_top_n(
    cfg: Config,
    n_items: int,
    n_available: int,
    *,
    of: str = "the catalogue",
    items: str = "items",
    remedy: str = "check that sources.items is complete",
) -> None:
    """Raise DataError where run.top_n exceeds ``n_available``, the number of ``items`` ``of`` which may be
    recommended."""
    if n_available >= cfg.run.top_n:
        return
    hidden = f" ({n_items - n_available} more are not available)" if n_items > n_available else ""
    raise DataError(
        f"run.top_n is larger than {of}",
        where="run.top_n",
        found=f"top_n = {cfg.run.top_n}, and {n_available} {items} that may be recommended{hidden}",
        expected=f"top_n of at most {n_available}",
        action=f"Lower run.top_n (and evaluate.k), or {remedy}.",
    )


def check_top_n_of_list(cfg: Config, items: DataFrame, allow_list: DataFrame) -> None:
    """Raise DataError where run.top_n exceeds the number of available ``items`` (item_id, available) on the allow
    list."""
    _check_top_n_of_list(cfg, *_allowed(items, allow_list))


def _allowed(items: DataFrame, allow_list: DataFrame) -> tuple[int, int]:
    """Return how many items are on the allow list, and how many of these are available."""
    allowed = items.join(allow_list, on="item_id", how="left_semi")
    n_items, n_available = allowed.agg(F.count("*"), F.count_if("available")).head() or (0, 0)
    return n_items, n_available


def _check_top_n_of_list(cfg: Config, n_items: int, n_available: int) -> None:
    where = f"sources.{ALLOW_LIST.name}"
    check_top_n(
        cfg,
        n_items,
        n_available,
        of="the allow list",
        items=f"items of {where}",
        remedy=f"allow more items in {where}",
    )


def _check_allow_list(ingested: Ingested, cfg: Config) -> None:
    where = f"sources.{ALLOW_LIST.name}"
    n_items, n_available = _allowed(ingested[ITEMS], ingested[ALLOW_LIST])
    if n_items == 0:
        # Otherwise an empty list would allow nothing, or everything.
        raise DataError(
            "The allow list names no item of the catalogue",
            where=where,
            found=_rejections(ingested, ALLOW_LIST),
            expected="at least one item_id that sources.items also has",
            action=f"Check `path`, `where` and the expression of item_id, or remove {where} to allow every item.",
        )
    _check_top_n_of_list(cfg, n_items, n_available)


def _check_selected_users(ingested: Ingested) -> None:
    where = f"sources.{SELECTED_USERS.name}"
    if ingested[SELECTED_USERS].isEmpty():
        raise DataError(
            "No user is selected",
            where=where,
            found=_rejections(ingested, SELECTED_USERS),
            expected="at least one user",
            action=f"Check `path`, `where` and the expression of user_id, or remove {where} to score everyone.",
        )


def _check_interactions(ingested: Ingested, behaviours: DataFrame, *, as_of: datetime) -> None:
    if not ingested[INTERACTIONS].isEmpty():
        return
    found = _rejections(ingested, BEHAVIOURS)
    earliest = behaviours.agg(F.min("ts")).collect()[0][0]
    if earliest is None:
        raise DataError(
            "There are no behaviours at all",
            where="sources.behaviours",
            found=found,
            expected="at least one behaviour",
            action="Check `path`, `where` and `columns`. The reasons above say what was wrong with the rows."
            + _time_hint(ingested),
        )
    # Collected timestamps are naive, in the driver's own zone.
    earliest = earliest.astimezone(UTC)
    if earliest >= _utc(as_of):
        raise DataError(
            "There are no behaviours before as_of",
            where="as_of",
            found=f"as_of {_utc(as_of):%Y-%m-%d %H:%M:%S}, earliest behaviour {earliest:%Y-%m-%d %H:%M:%S} (UTC)",
            expected="as_of after the earliest behaviour",
            action="Pass a later --as-of or --run-date.",
        )
    raise DataError(
        "No behaviour before as_of is on an item of the catalogue",
        where="sources.behaviours",
        found=f"{found}; behaviours have {_some_ids(behaviours)}, items have {_some_ids(ingested[ITEMS])}",
        expected="item_id values that sources.items also has",
        action="Compare how both sources write the ids, and the expressions of item_id in both.",
    )


def _some_ids(rows: DataFrame) -> str:
    ids = rows.select("item_id").distinct().orderBy("item_id").limit(_N_IDS_SHOWN).collect()
    return ", ".join(f"`{row[0]}`" for row in ids)


def _time_hint(ingested: Ingested) -> str:
    """Return what to do about times that cannot be read, where nothing else is wrong with the rows; else nothing."""
    rows = ingested[REJECTED_ROWS].where(F.col("table") == BEHAVIOURS.name)
    if rows.where(F.col("reason") != "bad_ts").head() is not None:
        return ""
    seen = [row[0] for row in rows.select("row").orderBy("row").limit(_N_ROWS_SEEN).collect()]
    if not seen:
        return ""
    if all(map(_numbers, seen)):
        return (
            " If ts is in seconds since 1970, its expression is `timestamp_seconds(column)`; in milliseconds it is"
            " `timestamp_millis(column)`."
        )
    return f" No time was readable in a row such as {seen[0][:200]}. Write to_timestamp(column, 'dd/MM/yyyy HH:mm')."


def _numbers(row: str) -> list[str]:
    """Return the values of a rejected row that may be seconds or milliseconds since 1970."""
    try:
        given = json.loads(row)
    except ValueError:
        return []
    return [str(value) for value in given.values() if _EPOCH.fullmatch(str(value))] if isinstance(given, dict) else []


def _check_behaviour_types(ingested: Ingested, cfg: Config) -> None:
    weights = cfg.behaviours.weights
    if cfg.behaviours.default_weight is not None:
        return
    unknown = ingested[INTERACTIONS].where(~F.col("behaviour").isin(list(weights)) if weights else F.lit(True))
    counts = unknown.groupBy("behaviour").count().orderBy(F.desc("count"), "behaviour").limit(_N_TYPES_SHOWN + 1)
    types = [(str(name), int(n)) for name, n in counts.collect()]
    if not types:
        return
    listed = ", ".join(f"{name} ({n} rows)" for name, n in types[:_N_TYPES_SHOWN])
    close = {name: nearest(name, weights) for name, _ in types[:_N_TYPES_SHOWN]}
    guesses = "; ".join(f"did you mean `{known}` for `{name}`?" for name, known in close.items() if known)
    raise DataError(
        "Some behaviour types have no weight",
        where="behaviours.weights",
        found=listed + (" and more" if len(types) > _N_TYPES_SHOWN else ""),
        expected=f"one of {', '.join(weights)}" if weights else "a weight for every type",
        action=f"Add them to [behaviours.weights], or set behaviours.default_weight{'; ' + guesses if guesses else ''}",
    )


def _rejections(ingested: Ingested, table: Table) -> str:
    """Return in words how many rows of a table were rejected, and why."""
    rows = ingested[REJECTED_ROWS].where(F.col("table") == table.name)
    counts = rows.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    if not counts:
        return "no rows"
    return "no usable row; rejected: " + ", ".join(f"{reason} {n}" for reason, n in counts)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
