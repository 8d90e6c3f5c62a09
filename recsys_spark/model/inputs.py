"""The inputs of the model: profiles joined with their text vectors, shared by train, score and rerank."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ITEM_COLUMNS = ("item_id", "vector", "popularity", "n_behaviours", "available")


def item_inputs(item_profiles: DataFrame, embeddings: DataFrame) -> DataFrame:
    """Return the columns ITEM_COLUMNS: `item_id, vector array<float>? [h], popularity double, n_behaviours bigint,
    available boolean`."""
    vectors = embeddings.select("content_hash", "vector")
    return item_profiles.join(vectors, "content_hash", "left").select(*ITEM_COLUMNS)


def user_inputs(user_profiles: DataFrame, embeddings: DataFrame) -> DataFrame:
    """Return the columns kernels.histories.INPUT_COLUMNS: one row for each user with a behaviour, friends' items or a
    profile text that has a vector.

    `items, behaviours, times (seconds), weights` are newest first; `vector` is the vector of the profile text, or null.
    """
    vectors = embeddings.select("content_hash", "vector")
    # Behaviours of weight 0 make no history, so the segment does not tell whether a user has one.
    acted = (F.size("history") > 0) | (F.size("social_items") > 0)
    return (
        user_profiles.where(acted | F.col("text").isNotNull())
        .join(vectors, "content_hash", "left")
        # A text that could not be encoded counts as no text.
        .where(acted | F.col("vector").isNotNull())
        .select(
            "user_id",
            F.col("history.item_id").alias("items"),
            F.col("history.behaviour").alias("behaviours"),
            F.transform("history", lambda h: F.unix_micros(h["ts"]) / F.lit(1e6)).alias("times"),
            F.col("history.weight").alias("weights"),
            F.col("social_items.item_id").alias("social_items"),
            F.col("social_items.weight").alias("social_weights"),
            "vector",
        )
    )
