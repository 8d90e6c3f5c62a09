"""The profiles step: reads the contract tables and writes what is known of each user and item."""

from __future__ import annotations

from recsys_spark import tables
from recsys_spark.profiles.items import build_item_profiles
from recsys_spark.profiles.users import build_user_profiles
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Attempt


def profiles(ctx: Context, attempt: Attempt) -> Facts:
    """Interactions, items, users, relations -> item_profiles, user_profiles."""
    interactions = ctx.table("ingest", tables.INTERACTIONS)
    items = attempt.write(
        tables.ITEM_PROFILES,
        build_item_profiles(ctx.table("ingest", tables.ITEMS), interactions, ctx.cfg, as_of=ctx.as_of),
    )
    users = attempt.write(
        tables.USER_PROFILES,
        build_user_profiles(
            interactions,
            ctx.table("ingest", tables.USERS),
            ctx.table("ingest", tables.RELATIONS),
            items,
            ctx.cfg,
            as_of=ctx.as_of,
        ),
    )
    segments = users.groupBy("segment").count().orderBy("segment").collect()
    return {
        "segments": {r["segment"]: r["count"] for r in segments},
        "cold_items": items.where("is_cold").count(),
        "available_items": items.where("available").count(),
    }


STAGE = Stage("profiles", ("ingest",), ("profiles", "behaviours", "encoder", "rerank.popular_half_life_days"), profiles)
