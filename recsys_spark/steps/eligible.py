"""The users who get a list, the items on offer, and the pairs that are excluded."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import contract, tables
from recsys_spark.scoring.score import build_exclusions, restrict_items
from recsys_spark.steps.context import Context


def served_users(ctx: Context) -> DataFrame:
    """Return USER_PROFILES of the users who get a list: all users, or those of `sources.selected_users`."""
    users = ctx.table("profiles", tables.USER_PROFILES)
    if contract.SELECTED_USERS.name not in ctx.fact("ingest", "given"):
        return users
    return users.join(ctx.table("ingest", contract.SELECTED_USERS), "user_id", "left_semi")


def exclusions_of(ctx: Context) -> DataFrame:
    """Return the pairs (user_id, item_id) that must not be recommended to the users who get a list."""
    pairs = build_exclusions(
        ctx.table("ingest", contract.INTERACTIONS), ctx.cfg, ctx.table("ingest", contract.DENY_LIST)
    )
    if contract.SELECTED_USERS.name not in ctx.fact("ingest", "given"):
        return pairs
    return pairs.join(ctx.table("ingest", contract.SELECTED_USERS), "user_id", "left_semi")


def excludes(ctx: Context) -> bool:
    """Return whether the configuration lets :func:`exclusions_of` hold a pair at all."""
    return bool(ctx.cfg.score.exclude_seen) or contract.DENY_LIST.name in ctx.fact("ingest", "given")


def offered(ctx: Context, items: DataFrame) -> DataFrame:
    """Return items (item_id, available, ...) after the allow list, with `list_category` for `score.top_n_per`."""
    if contract.ALLOW_LIST.name in ctx.fact("ingest", "given"):
        items = restrict_items(items, ctx.table("ingest", contract.ALLOW_LIST), ctx.cfg.score)
    if ctx.cfg.score.top_n_per:
        category = ctx.table("profiles", tables.ITEM_PROFILES).select(
            "item_id", F.col("category").alias(tables.LIST_CATEGORY)
        )
        items = items.join(category, "item_id", "left")
    return items
