"""What the ingest tests give the stage, and how they read what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sections import Config
from recsys_spark.contract import ALLOW_LIST, BEHAVIOURS, CONTRACT, DENY_LIST, ITEMS, RELATIONS, SELECTED_USERS, USERS
from recsys_spark.ingest.build import Ingested, build_ingest
from recsys_spark.ingest.checks import validate_ingested
from recsys_spark.ingest.sources import Mapped
from recsys_spark.schema import Table
from recsys_spark.tables import REJECTED_ROWS
from tests.builders import AS_OF, config, frame, interaction, item

Rows = Iterable[Mapping[str, Any]]


def mapped(spark: SparkSession, table: Table, rows: Rows, rejected: Rows = ()) -> Mapped:
    """Accepted rows as the sources give them, `available` and `weight` never null."""
    defaults = {"available": True, "weight": 1.0}
    return Mapped(frame(spark, table, [{**defaults, **row} for row in rows]), frame(spark, REJECTED_ROWS, rejected))


def ingest(
    spark: SparkSession,
    behaviours: Rows = (),
    items: Rows = (),
    users: Rows | None = None,
    relations: Rows | None = None,
    **more: Any,
) -> Ingested:
    lists = {name: more.pop(name) for name in CONTRACT if name in more}
    given = {BEHAVIOURS: behaviours, ITEMS: items, USERS: users, RELATIONS: relations}
    read = {table.name: mapped(spark, table, rows) for table, rows in given.items() if rows is not None}
    return build_ingest({**read, **lists}, as_of=AS_OF, **more)


def rows(df: DataFrame) -> list[dict[str, Any]]:
    return sorted((row.asDict(recursive=True) for row in df.collect()), key=str)


def allow(spark: SparkSession, *item_ids: str, rejected: Rows = ()) -> Mapped:
    return mapped(spark, ALLOW_LIST, [{"item_id": i} for i in item_ids], rejected)


def deny(spark: SparkSession, *pairs: tuple[str, str]) -> Mapped:
    return mapped(spark, DENY_LIST, [{"user_id": u, "item_id": i} for u, i in pairs])


def select(spark: SparkSession, *user_ids: str, rejected: Rows = ()) -> Mapped:
    return mapped(spark, SELECTED_USERS, [{"user_id": u} for u in user_ids], rejected)


def values(df: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in df.collect())


ACCEPTED = (interaction(),)


def check(done: Ingested, behaviours: Rows = ACCEPTED, cfg: Config | None = None) -> None:
    """Validate what was ingested; ``behaviours`` are those that were accepted, whatever came of them."""
    spark = done[ITEMS].sparkSession
    validate_ingested(done, cfg or config(), as_of=AS_OF, behaviours=frame(spark, BEHAVIOURS, behaviours))


def catalogue(n: int = 3) -> list[dict[str, Any]]:
    return [item(f"i{k}") for k in range(1, n + 1)]
