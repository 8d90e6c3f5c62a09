"""The tables that encoders are compared on: profiles as the embed stage would read them, from the store or from the sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.config.sections import Config
from recsys_spark.errors import DataError
from recsys_spark.ingest.build import Ingested, build_ingest, validate_ingested
from recsys_spark.ingest.sources import read_table
from recsys_spark.pipeline import NAMES, STAGES, stage_key
from recsys_spark.profiles.items import build_item_profiles
from recsys_spark.profiles.users import build_user_profiles
from recsys_spark.steps.context import Context
from recsys_spark.store.areas import Store

PROFILES = STAGES[NAMES.index("profiles")]


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
    """The profiles of a finished run of ``run_date`` with this configuration, else made from the sources and not stored.

    They are to be used inside the block. Raises RecsysError as ingest does.
    """
    as_of = datetime(run_date.year, run_date.month, run_date.day, tzinfo=UTC)
    store, day = Store(spark, cfg.run.store), run_date.isoformat()
    ctx = Context(spark, cfg, store, store.area(day), day, as_of, now=max(datetime.now(UTC), as_of))
    if has_profiles(ctx):
        yield Inputs(
            ctx.table("ingest", tables.INTERACTIONS),
            ctx.table("profiles", tables.ITEM_PROFILES).select("item_id", "text"),
            ctx.table("profiles", tables.USER_PROFILES).select("text"),
            origin=f"the profiles of the run of {day}",
        )
        return
    ingested = _ingested(ctx)
    items = build_item_profiles(ingested.items, ingested.interactions, cfg, as_of=as_of).persist()
    users = build_user_profiles(ingested.interactions, ingested.users, ingested.relations, items, cfg, as_of=as_of)
    if not cfg.sources.users:
        # Their texts are the tags that users gave: without this Spark would make every profile to find none.
        users = spark.createDataFrame([], tables.USER_PROFILES.schema)
    try:
        yield Inputs(ingested.interactions, items.select("item_id", "text"), users.select("text"), "the sources")
    finally:
        for kept in (ingested.interactions, ingested.items, items):
            kept.unpersist()


def has_profiles(ctx: Context) -> bool:
    """Whether the store has the profiles that a run with this configuration would use."""
    if any(ctx.area.manifest(name) is None for name in PROFILES.after):
        return False
    done = ctx.area.manifest(PROFILES.name)
    return done is not None and done.key == stage_key(ctx, PROFILES)


def _ingested(ctx: Context) -> Ingested:
    """What the ingest stage would write, but for the lists of whom and what to serve."""
    behaviours, items, users, relations = (
        read_table(ctx.spark, table, sources, where=f"sources.{table.name}", now=ctx.now) if sources else None
        for table in (tables.BEHAVIOURS, tables.ITEMS, tables.USERS, tables.RELATIONS)
        for sources in [getattr(ctx.cfg.sources, table.name)]
    )
    if behaviours is None or items is None:  # the config has made sure of both
        raise DataError("Behaviours and items are needed", where="sources")
    built = build_ingest(behaviours, items, users, relations, ctx.cfg, as_of=ctx.as_of)
    built.interactions.persist()
    built.items.persist()
    earliest = None
    if built.interactions.isEmpty():
        first = behaviours.accepted.agg(F.min("ts")).collect()[0][0]
        # Collected timestamps are naive, in the driver's own zone.
        earliest = None if first is None else first.astimezone(UTC)
    validate_ingested(built, ctx.cfg, as_of=ctx.as_of, earliest_ts=earliest)
    return built
