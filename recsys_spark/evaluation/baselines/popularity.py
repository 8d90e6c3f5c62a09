"""Baseline `popularity`: everyone gets the items with the most distinct users."""

from __future__ import annotations

from pyspark.sql import functions as F

from recsys_spark.evaluation.baselines.baseline import Baseline, Known, Vectors, as_tables, constant


def popularity_vectors(known: Known) -> Vectors:
    """Return (USER_VECTORS, ITEM_VECTORS) of width 1 that give everyone the items with the most distinct users.

    The logit is the bias, log(1 + distinct users in the interactions); items that nobody touched come last.
    """
    n_users = known.interactions.groupBy("item_id").agg(F.countDistinct("user_id").alias("n_users"))
    items = known.item_profiles.select("item_id", "available").join(n_users, on="item_id", how="left")
    bias = F.log1p(F.coalesce("n_users", F.lit(0)).cast("double"))
    user_vectors = known.users.select("user_id", constant(1.0, 1).alias("x"), F.lit("history").alias("source"))
    item_vectors = items.select(
        "item_id",
        *(constant(0.0, 1).alias(name) for name in ("y", "theta", "token")),
        bias.alias("bias"),
        "available",
    )
    return as_tables(user_vectors, item_vectors)


BASELINE = Baseline("popularity", popularity_vectors, knows_everyone=True)
