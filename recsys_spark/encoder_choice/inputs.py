"""The tables that encoders are compared on: profiles as the embed stage reads them, from the store or the sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import DataFrame, SparkSession

from recsys_spark import contract, tables
from recsys_spark.config.sections import Config
from recsys_spark.pipeline import stage_key
from recsys_spark.schema import Table
from recsys_spark.steps import profiles
from recsys_spark.steps.context import Context
from recsys_spark.steps.ingest import read_and_check
from recsys_spark.steps.profiles import build_profiles
from recsys_spark.store.areas import Store

READ_AGAIN = (contract.INTERACTIONS, contract.ITEMS, tables.ITEM_PROFILES)


@dataclass(frozen=True)
class Inputs:
    """The tables that a sample is drawn from."""

    interactions: DataFrame
    item_profiles: DataFrame
    """item_id, text"""
    user_profiles: DataFrame
    """text"""
    origin: str
    """Where they came from, in words."""


@contextmanager
def profile_inputs(spark: SparkSession, cfg: Config, run_date: date) -> Iterator[Inputs]:
    """The profiles of ``run_date``: those of a finished run with this configuration, else made from the sources.

    Profiles made here are not stored. Use the tables inside the block. Raises RecsysError as the ingest stage does.
    """
    as_of = datetime(run_date.year, run_date.month, run_date.day, tzinfo=UTC)
    store, day = Store(spark, cfg.run.store), run_date.isoformat()
    ctx = Context(spark, cfg, store, store.area(day), day, as_of, now=max(datetime.now(UTC), as_of))
    if has_profiles(ctx):
        yield Inputs(
            ctx.table("ingest", contract.INTERACTIONS),
            ctx.table("profiles", tables.ITEM_PROFILES).select("item_id", "text"),
            ctx.table("profiles", tables.USER_PROFILES).select("text"),
            origin=f"the profiles of the run of {day}",
        )
        return
    kept: list[DataFrame] = []

    def keep(table: Table, rows: DataFrame) -> DataFrame:
        """Persist the tables that several queries read."""
        if table in READ_AGAIN:
            kept.append(rows.persist())
        return rows

    def stage(name: str, rows: DataFrame) -> DataFrame:
        """Hold what was read of a source in memory, or on the disks of the executors."""
        kept.append(rows.persist())
        rows.count()
        return rows

    try:
        inputs = [entry for entry in contract.CONTRACT.values() if not entry.is_list]
        ingested, _ = read_and_check(ctx, keep, inputs, stage=stage)
        of_both = (ingested[t] for t in (contract.INTERACTIONS, contract.ITEMS, contract.USERS, contract.RELATIONS))
        items, users = build_profiles(ctx, *of_both, keep=keep)
        if not cfg.sources.users:
            # A user's text consists of the tags that users gave. Without this, Spark builds every profile to find none.
            users = spark.createDataFrame([], tables.USER_PROFILES.schema)
        yield Inputs(
            ingested[contract.INTERACTIONS], items.select("item_id", "text"), users.select("text"), "the sources"
        )
    finally:
        for rows in kept:
            rows.unpersist()


def has_profiles(ctx: Context) -> bool:
    """Whether the store has the profiles that a run with this configuration would use."""
    if any(ctx.area.manifest(name) is None for name in profiles.STAGE.after):
        return False
    done = ctx.area.manifest(profiles.STAGE.name)
    return done is not None and done.key == stage_key(ctx, profiles.STAGE)
