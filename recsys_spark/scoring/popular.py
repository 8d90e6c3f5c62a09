"""Lists for users without any profile: the most popular items that they may get."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Score
from recsys_spark.profiles.weights import exact
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.rank import score_of_terms
from recsys_spark.tables import CANDIDATES, LIST_CATEGORY

PRIOR = 1e-6
"""Added to every item's popularity, in units of behaviour weight, so that an item nobody touched has a finite log."""


def build_popular_candidates(
    user_ids: DataFrame, items: DataFrame, exclusions: DataFrame, score_cfg: Score, *, n: int
) -> DataFrame:
    """Return the ``n`` most popular available items for users without any profile: CANDIDATES of source `popular`.

    ``user_ids``: user_id, distinct. ``items``: ITEM_PROFILES, with a column `list_category` where the ``n`` best of
    each category are wanted. ``exclusions``: user_id, item_id, distinct. log_prob is the log of the item's share of
    the catalogue's popularity, and the cosine is 0. Ties, and items without popularity, follow by item_id. So a list
    is shorter than ``n`` only where the catalogue does not allow ``n``.
    """
    best_first = (F.desc("log_prob"), F.col("item_id"))
    top = _popularity(items).where("available")
    top = top.withColumn("place", F.row_number().over(Window.partitionBy(LIST_CATEGORY).orderBy(*best_first)))
    taken = (
        exclusions.join(user_ids, "user_id", "left_semi")
        .join(F.broadcast(top.select("item_id", LIST_CATEGORY, "place")), "item_id")
        .select("user_id", LIST_CATEGORY, "place")
    )
    # The allowed items of a user are the gaps between the excluded places. At most n ranges of at most n places are
    # opened per user and category, however many items are excluded.
    by_place = Window.partitionBy("user_id", LIST_CATEGORY).orderBy("place")
    beginnings = user_ids.select("user_id").crossJoin(F.broadcast(top.select(LIST_CATEGORY).distinct()))
    gaps = (
        beginnings.withColumn("place", F.lit(0))
        .unionByName(taken)
        .withColumn("before", F.col("place") - F.row_number().over(by_place) + 1)
        .withColumn("end", F.lead("place", 1, 2**31 - 1).over(by_place) - 1)
        .withColumn("last", F.least("end", F.col("place") + n - F.col("before")))
        .where(F.col("last") > F.col("place"))
    )
    opened = gaps.select(
        "user_id",
        LIST_CATEGORY,
        (F.col("place") - F.col("before")).alias("shift"),
        F.explode(F.sequence(F.col("place") + 1, F.col("last"))).alias("place"),
    )
    listed = opened.join(F.broadcast(top), [LIST_CATEGORY, "place"])
    rank, place = Rank.of(score_cfg), F.col("place") - F.col("shift")
    if LIST_CATEGORY in items.columns:
        place = F.row_number().over(Window.partitionBy("user_id").orderBy(*best_first))
    return CANDIDATES.conform(
        listed.select(
            "user_id",
            place.alias("rank"),
            "item_id",
            score_of_terms(F.lit(0.0), F.col("log_prob"), rank).alias("score"),
            F.lit(0.0).alias("cosine"),
            F.col("log_prob") if rank.log_z else F.lit(None).cast("double").alias("log_prob"),
            F.lit("popular").alias("source"),
        )
    )


def _popularity(items: DataFrame) -> DataFrame:
    """Return item_id, list_category, available and log_prob, the log share of popularity.

    exp(log_prob) sums to 1 over all items.
    """
    category = F.coalesce(LIST_CATEGORY, F.lit("")) if LIST_CATEGORY in items.columns else F.lit("")
    popularity = F.greatest(F.coalesce(F.col("popularity"), F.lit(0.0)), F.lit(0.0)) + PRIOR
    weighed = items.select(
        "item_id",
        category.alias(LIST_CATEGORY),
        F.coalesce("available", F.lit(True)).alias("available"),
        popularity.alias("weight"),
    )
    # In units of the largest, so that the exact sum keeps the small ones.
    largest = weighed.agg(F.max("weight").alias("largest"))
    shares = weighed.crossJoin(F.broadcast(largest))
    total = shares.groupBy("largest").agg(
        F.sum(exact(F.col("weight") / F.col("largest"))).cast("double").alias("total")
    )
    total = total.select((F.col("total") * F.col("largest")).alias("total"))
    return weighed.crossJoin(F.broadcast(total)).select(
        "item_id", LIST_CATEGORY, "available", (F.log("weight") - F.log("total")).alias("log_prob")
    )
