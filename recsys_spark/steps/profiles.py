"""The profiles step: reads the contract tables and writes what is known of each user and item."""

from __future__ import annotations

from pyspark.sql import DataFrame

from recsys_spark import contract, tables
from recsys_spark.profiles.items import build_item_profiles
from recsys_spark.profiles.users import build_user_profiles
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.ingest import Keep
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Attempt


def profiles(ctx: Context, attempt: Attempt) -> Facts:
    """Write item_profiles and user_profiles from interactions, items, users and relations."""
    given = (
        ctx.table("ingest", t) for t in (contract.INTERACTIONS, contract.ITEMS, contract.USERS, contract.RELATIONS)
    )
    items, users = build_profiles(ctx, *given, keep=attempt.write)
    segments = users.groupBy("segment").count().orderBy("segment").collect()
    return {
        "segments": {r["segment"]: r["count"] for r in segments},
        "cold_items": items.where("is_cold").count(),
        "available_items": items.where("available").count(),
    }


def build_profiles(
    ctx: Context, interactions: DataFrame, items: DataFrame, users: DataFrame, relations: DataFrame, *, keep: Keep
) -> tuple[DataFrame, DataFrame]:
    """Return item_profiles and user_profiles of the ingested tables, each as ``keep`` returns it."""
    made = build_item_profiles(items, interactions, ctx.cfg, as_of=ctx.as_of)
    item_profiles = keep(tables.ITEM_PROFILES, made)
    made = build_user_profiles(interactions, users, relations, item_profiles, ctx.cfg, as_of=ctx.as_of)
    return item_profiles, keep(tables.USER_PROFILES, made)


STAGE = Stage("profiles", ("ingest",), ("profiles", "behaviours", "encoder", "rerank.popular_half_life_days"), profiles)
