"""Counts users, lists and broken scores: what the gates look at."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class ListFacts:
    """The lists of a night in numbers."""

    n_users: int
    n_lists: int
    """Users with at least one item."""
    n_full: int
    """Users whose list has as many items as they may get."""
    n_bad_scores: int
    """Rows whose score is null or not a finite number."""


def list_facts(
    recommendations: DataFrame, users: DataFrame, exclusions: DataFrame, *, top_n: int, n_available: int
) -> DataFrame:
    """Return one row of ListFacts over ``users`` (user_id), including users without a list.

    A list is full with `min(top_n, available items - exclusions of the user)` rows. The exclusions of a user may name
    unavailable items, so the bound is a lower one and never refuses a right list.
    """
    excluded = exclusions.groupBy("user_id").agg(F.count(F.lit(1)).alias("n_excluded"))
    finite = F.col("score").isNotNull() & ~F.isnan("score") & (F.abs("score") != F.lit(float("inf")))
    lists = recommendations.groupBy("user_id").agg(
        F.count(F.lit(1)).alias("n"), F.count(F.when(~finite, F.lit(1))).alias("bad")
    )
    left = F.lit(n_available) - F.coalesce("n_excluded", F.lit(0))
    full = F.coalesce("n", F.lit(0)) >= F.least(F.lit(top_n), left)
    return (
        users.join(lists, "user_id", "left")
        .join(excluded, "user_id", "left")
        .agg(
            F.count("n").alias("n_lists"),
            F.count(F.lit(1)).alias("n_users"),
            F.count(F.when(full, F.lit(1))).alias("n_full"),
            F.coalesce(F.sum("bad"), F.lit(0)).alias("n_bad_scores"),
        )
    )
