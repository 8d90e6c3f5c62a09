"""Writes the shop: Spark makes every table in parallel, from row numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.errors import ConfigError
from recsys_spark.numerics.arrays import I64
from recsys_spark.shop import catalogue, people
from recsys_spark.shop.behaviours import BEHAVIOURS_SCHEMA, World, behaviour_rows, dirt_counts
from recsys_spark.shop.items import ITEMS_SCHEMA, dirty_item_rows, item_rows, n_dirty_items
from recsys_spark.shop.relations import RELATIONS_SCHEMA, relation_rows
from recsys_spark.shop.users import USERS_SCHEMA, n_dirty_users, user_rows

END = date(2026, 6, 1)
_ROWS_PER_TASK = 500_000
_ROWS_PER_BATCH = 50_000  # keeps a task's arrays small whatever the size of the shop


def generate_shop(
    spark: SparkSession,
    out: str,
    *,
    n_users: int = 2_000,
    n_items: int = 800,
    n_behaviours: int = 60_000,
    seed: int = 7,
    end: date = END,
    n_tasks: int | None = None,
) -> None:
    """Write ``out/behaviours`` and ``out/users`` (parquet), ``out/items`` (json), ``out/relations`` (csv with header).

    There are ``n_behaviours`` clean rows in the 180 days before ``end``, and about 2% dirty rows (``dirt_counts``). The
    same arguments give the same rows: ``n_tasks`` (by default chosen by size) only divides the work. Raises ConfigError
    where the shop is too small.
    """
    _check_size(n_users, n_items, n_behaviours)
    world = World(n_users, n_items, n_behaviours, seed, end)

    def rows(n: int, schema: str, make: Callable[[I64], pd.DataFrame]) -> DataFrame:
        return _rows(spark, n, schema, make, n_tasks)

    items = rows(n_items, ITEMS_SCHEMA, lambda ids: item_rows(ids, seed, n_items))
    dirty = rows(sum(n_dirty_items(n_items).values()), ITEMS_SCHEMA, lambda ids: dirty_item_rows(ids, seed, n_items))
    items.unionByName(dirty).write.mode("overwrite").json(f"{out}/items")
    users = rows(n_users + n_dirty_users(n_users), USERS_SCHEMA, lambda ids: user_rows(ids, world))
    users.write.mode("overwrite").parquet(f"{out}/users")
    relations = rows(n_users, RELATIONS_SCHEMA, lambda ids: relation_rows(ids, world))
    relations.write.mode("overwrite").option("header", "true").csv(f"{out}/relations")
    n_rows = n_behaviours + sum(dirt_counts(n_behaviours).values())
    behaviours = rows(n_rows, BEHAVIOURS_SCHEMA, lambda ids: behaviour_rows(ids, world))
    behaviours.write.mode("overwrite").parquet(f"{out}/behaviours")


def _rows(
    spark: SparkSession, n: int, schema: str, make: Callable[[I64], pd.DataFrame], n_tasks: int | None
) -> DataFrame:
    def batches(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            ids = frame["id"].to_numpy()
            for start in range(0, len(ids), _ROWS_PER_BATCH):
                yield make(ids[start : start + _ROWS_PER_BATCH].astype(np.int64))

    tasks = n_tasks or max(1, -(-n // _ROWS_PER_TASK))
    return spark.range(0, n, 1, tasks).mapInPandas(batches, schema)


def _check_size(n_users: int, n_items: int, n_behaviours: int) -> None:
    for name, found, least in (
        ("users", n_users, people.MIN_USERS),
        ("items", n_items, catalogue.MIN_ITEMS),
        ("behaviours", n_behaviours, 1),
    ):
        if found < least:
            raise ConfigError(
                f"The generated shop needs more {name}",
                where=f"--{name}",
                found=found,
                expected=f"{least} or more",
                action=f"Pass --{name} {least} or more.",
            )
