"""User profiles: recent history, interest tags, neighbours and what these like, text and counts, one row per user.

A window that Spark also applies before the shuffle cuts every list to its first rows. So neither a bot with a million
behaviours nor a user with a million friends makes a task, an array or a row larger than the configured limit.
"""

from __future__ import annotations

from datetime import datetime
from functools import reduce

import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from recsys_spark.config.sections import Config, Profiles
from recsys_spark.profiles.kernels.cleaning import clean_tags
from recsys_spark.profiles.prefixed import content_hash
from recsys_spark.profiles.weights import MAX_WEIGHT, decay, exact, undecayed_weight
from recsys_spark.tables import USER_PROFILES

N_FRIEND_ITEMS = 10
"""Items that a neighbour may suggest. It keeps the join below neighbours x 10 rows per user."""
LISTS = ("history", "interest_tags", "neighbours", "social_items")


def build_user_profiles(
    interactions: DataFrame,
    users: DataFrame,
    relations: DataFrame,
    item_profiles: DataFrame,
    cfg: Config,
    *,
    as_of: datetime,
) -> DataFrame:
    """Return `user_profiles`, one row per user of ``users``, ``interactions`` or ``relations.user_id``.

    All inputs are stored tables, and every interaction is before ``as_of``. A list is empty where there is nothing.
    """
    counts = count_interactions(interactions)
    recent = recent_behaviours(interactions, cfg, as_of=as_of)
    taste = recent_items(recent)
    tags = interest_tags(users, taste, item_profiles, cfg.profiles)
    friends = neighbours(relations, cfg.profiles.max_neighbours)
    social = social_items(friends, taste, cfg.profiles.max_social_items)
    parts = [
        counts,
        _listed(recent, "history", "item_id", "behaviour", "ts", "weight"),
        _listed(tags, "interest_tags", "tag", "weight", "origin"),
        _listed(friends, "neighbours", F.col("friend_id").alias("user_id"), "weight"),
        _listed(social, "social_items", "item_id", "weight", "friend_id"),
    ]
    everyone = reduce(DataFrame.unionByName, [t.select("user_id") for t in (users, counts, relations)]).distinct()
    joined = reduce(lambda left, right: left.join(right, on="user_id", how="left"), parts, everyone)
    filled = joined.withColumns(
        {name: F.coalesce(name, F.array().cast(USER_PROFILES.column(name).type)) for name in LISTS}
        | {name: F.coalesce(name, F.lit(0)) for name in ("n_behaviours", "n_items")}
    )
    text = _text(cfg.profiles.max_text_chars)
    return USER_PROFILES.conform(
        filled.withColumns({"text": text, "segment": _segment()}).withColumn(
            "content_hash", content_hash(cfg.encoder.user_prefix)
        )
    )


def count_interactions(interactions: DataFrame) -> DataFrame:
    """Return `user_id, n_behaviours, n_items, last_ts`. Grouped by (user, item) first, so that no set grows with a
    bot."""
    per_item = interactions.groupBy("user_id", "item_id").agg(F.count("*").alias("n"), F.max("ts").alias("ts"))
    return per_item.groupBy("user_id").agg(
        F.sum("n").alias("n_behaviours"), F.count("*").alias("n_items"), F.max("ts").alias("last_ts")
    )


def recent_behaviours(interactions: DataFrame, cfg: Config, *, as_of: datetime) -> DataFrame:
    """Return the newest L behaviours: `user_id, position, item_id, behaviour, ts, undecayed, weight`.

    Behaviours of weight 0 are left out, because the configuration ignores them. Order: (ts desc, undecayed weight desc,
    item_id, behaviour).
    """
    weighed = interactions.select(
        "user_id", "item_id", "behaviour", "ts", undecayed_weight(cfg.behaviours).alias("undecayed")
    ).where("undecayed > 0")
    order = [F.desc("ts"), F.desc("undecayed"), F.asc("item_id"), F.asc("behaviour")]
    weight = F.col("undecayed") * decay(F.lit(as_of), cfg.behaviours.half_life_days)
    return _first(weighed, cfg.behaviours.max_history, *order).withColumn("weight", weight)


def recent_items(recent: DataFrame) -> DataFrame:
    """Return the distinct items of each history: `user_id, item_id, undecayed, weight`. Both weights are at most about
    1."""
    user = Window.partitionBy("user_id")
    scaled = [
        exact(F.col(name) / F.nullif(F.max(name).over(user), F.lit(0.0))).alias(name)
        for name in ("undecayed", "weight")
    ]
    return (
        recent.select("user_id", "item_id", *scaled)
        .groupBy("user_id", "item_id")
        .agg(*(F.sum(name).alias(name) for name in ("undecayed", "weight")))
    )


def interest_tags(users: DataFrame, taste: DataFrame, item_profiles: DataFrame, profiles: Profiles) -> DataFrame:
    """Return `user_id, position, tag, weight, origin`: given tags with weight 1, then tags and categories of the taste.

    Derived weights do not decay, so they change only with the history. Their maximum is 1. Case does not make two tags
    different. A tag that is both given and derived counts as given.
    """
    given = given_tags(users).select(
        "user_id", F.explode(F.slice("tags", 1, profiles.max_tags)).alias("tag"), F.lit(1.0).alias("weight")
    )
    item_labels = item_profiles.select("item_id", F.explode(_labels(profiles.max_tags)).alias("tag")).withColumn(
        "key", F.lower("tag")
    )
    summed = (
        taste.join(item_labels, on="item_id", how="inner")
        .groupBy("user_id", "key")
        .agg(F.min("tag").alias("tag"), F.sum("undecayed").cast("double").alias("sum"))
        .where("sum > 0")
    )
    derived = summed.withColumn("weight", F.col("sum") / F.max("sum").over(Window.partitionBy("user_id")))
    known = _with_origin(given.withColumn("key", F.lower("tag")), "given").unionByName(_with_origin(derived, "derived"))
    # "given" sorts after "derived", so the maximum of (origin, ...) prefers it.
    merged = known.groupBy("user_id", "key").agg(F.max(F.struct("origin", "tag", "weight")).alias("best"))
    return _first(
        merged.select("user_id", "best.*"), profiles.max_tags, F.desc("origin"), F.desc("weight"), F.asc("tag")
    )


def given_tags(users: DataFrame) -> DataFrame:
    """Return `user_id, tags` of the users who gave tags: cleaned, distinct, sorted."""

    def clean(tags: pd.Series) -> pd.Series:
        return tags.map(clean_tags)

    udf = pandas_udf(clean, "array<string>")  # type: ignore[call-overload]
    return users.where(F.size("interest_tags") > 0).select("user_id", udf("interest_tags").alias("tags"))


def neighbours(relations: DataFrame, max_neighbours: int) -> DataFrame:
    """Return `user_id, position, friend_id, weight`, the closest first, ties by friend_id. Users are not their own
    friends."""
    weight = F.coalesce(F.col("weight"), F.lit(1.0)).alias("weight")
    friends = relations.where("user_id != friend_id").select("user_id", "friend_id", weight)
    return _first(friends, max_neighbours, F.desc("weight"), F.asc("friend_id"))


def social_items(friends: DataFrame, taste: DataFrame, max_social_items: int) -> DataFrame:
    """Return `user_id, position, item_id, weight, friend_id`: the items of the neighbours, weighted by closeness.

    weight = sum over neighbours of closeness x share, where share is the item's part of the weights of the neighbour's
    best N_FRIEND_ITEMS items. friend_id = the neighbour who adds most, ties by id.
    """
    best = _first(taste.where("weight > 0"), N_FRIEND_ITEMS, F.desc("weight"), F.asc("item_id"))
    share = F.col("weight").cast("double") / F.sum("weight").over(Window.partitionBy("user_id")).cast("double")
    # One row per neighbour, so that the join carries one row per pair. A celebrity with a million followers is a skewed
    # key of the left side, which adaptive execution splits.
    liked = _listed(best.withColumn("share", share), "liked", "item_id", "share").withColumnRenamed(
        "user_id", "friend_id"
    )
    suggested = friends.join(liked, on="friend_id", how="inner").select(
        "user_id", "friend_id", "weight", F.inline("liked")
    )
    added = F.least("weight", F.lit(MAX_WEIGHT)) * F.col("share")
    summed = (
        suggested.select("user_id", "item_id", "friend_id", added.alias("added"))
        .groupBy("user_id", "item_id")
        .agg(
            F.sum(exact(F.col("added"))).cast("double").alias("weight"),
            F.min(F.struct((-F.col("added")).alias("least"), "friend_id"))["friend_id"].alias("friend_id"),
        )
    )
    return _first(summed, max_social_items, F.desc("weight"), F.asc("item_id"))


def _first(rows: DataFrame, n: int, *order: Column) -> DataFrame:
    """Return the first n rows of each user, with their `position` from 1.

    The filter on row_number() lets Spark cut the rows of each user before the shuffle as well (WindowGroupLimit).
    """
    position = F.row_number().over(Window.partitionBy("user_id").orderBy(*order))
    return rows.withColumn("position", position).where(F.col("position") <= n)


def _listed(rows: DataFrame, name: str, *fields: str | Column) -> DataFrame:
    """Return the rows of `_first` as one array of structs per user, in order of position."""
    collected = rows.groupBy("user_id").agg(
        F.array_sort(F.collect_list(F.struct("position", F.struct(*fields).alias("value")))).alias(name)
    )
    return collected.withColumn(name, F.transform(name, lambda entry: entry["value"]))


def _with_origin(tags: DataFrame, origin: str) -> DataFrame:
    return tags.select("user_id", "key", "tag", "weight", F.lit(origin).alias("origin"))


def _labels(max_tags: int) -> Column:
    """Return tags and category of an item profile. A category that is also a tag counts once."""
    tags = F.slice(F.coalesce("tags", F.array().cast("array<string>")), 1, max_tags)
    keys = F.transform(tags, F.lower)
    category = F.filter(F.array("category"), lambda c: c.isNotNull() & ~F.array_contains(keys, F.lower(c)))
    return F.concat(tags, category)


def _text(max_chars: int) -> Column:
    # Given tags only: the towers learn to predict histories, and a tag derived from a history would give it away.
    given = F.filter("interest_tags", lambda tag: tag["origin"] == "given")
    text = F.array_join(F.transform(given, lambda tag: tag["tag"]), ", ")
    return F.nullif(F.rtrim(F.substring(text, 1, max_chars)), F.lit(""))


SEGMENTS = HEAVY, REGULAR, LIGHT, PROFILE, UNKNOWN = "heavy", "regular", "light", "profile", "unknown"
"""A user's activity groups, in the order of reports."""
WITH_HISTORY = (HEAVY, REGULAR, LIGHT)
"""The groups of users who have behaviours."""


def _segment() -> Column:
    n = F.col("n_behaviours")
    by_profile = (F.size("interest_tags") > 0) | (F.size("social_items") > 0)
    return F.when(n >= 20, HEAVY).when(n >= 5, REGULAR).when(n >= 1, LIGHT).when(by_profile, PROFILE).otherwise(UNKNOWN)
