"""Item profiles: the text by the configured template with its content hash, counts and popularity."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from recsys_spark.config.sections import Behaviours, Config, Profiles
from recsys_spark.profiles.kernels.cleaning import clean_tags
from recsys_spark.profiles.kernels.composing import item_fields, item_text
from recsys_spark.profiles.prefixed import content_hash
from recsys_spark.profiles.weights import decay, exact, type_weight
from recsys_spark.tables import ITEM_PROFILES

CLEANED = StructType(
    [
        StructField("title", StringType()),
        StructField("category", StringType()),
        StructField("tags", ArrayType(StringType())),
        StructField("text", StringType()),
    ]
)


def build_item_profiles(items: DataFrame, interactions: DataFrame, cfg: Config, *, as_of: datetime) -> DataFrame:
    """Return `item_profiles`, one row per row of ``items``.

    ``items`` and ``interactions`` are the ingested tables; every interaction is before ``as_of``.
    """
    counts = count_interactions(interactions, cfg.behaviours, cfg.rerank.popular_half_life_days, as_of=as_of)
    n_behaviours = F.coalesce(F.col("n_behaviours"), F.lit(0))
    profiles = clean_items(items, cfg.profiles).join(counts, on="item_id", how="left")
    return ITEM_PROFILES.conform(
        profiles.select(
            "item_id",
            F.coalesce(F.nullif("title", F.lit("")), F.col("item_id")).alias("title"),
            "category",
            "tags",
            F.coalesce(F.col("available"), F.lit(True)).alias("available"),
            "text",
            content_hash(cfg.encoder.item_prefix).alias("content_hash"),
            n_behaviours.alias("n_behaviours"),
            F.coalesce(F.col("n_users"), F.lit(0)).alias("n_users"),
            F.coalesce(F.col("popularity"), F.lit(0.0)).alias("popularity"),
            (n_behaviours == 0).alias("is_cold"),
        )
    )


def clean_items(items: DataFrame, profiles: Profiles) -> DataFrame:
    """Return `item_id, available, title, category, tags, text`.

    A missing title is ""; a missing category or text is null.
    """
    template, max_tags, max_chars = profiles.item_template, profiles.max_tags, profiles.max_text_chars

    def clean(
        title: pd.Series, description: pd.Series, category: pd.Series, tags: pd.Series, attributes: pd.Series
    ) -> pd.DataFrame:
        rows = []
        for t, d, c, g, a in zip(title, description, category, tags, attributes, strict=True):
            cleaned = clean_tags(g)
            fields = item_fields(
                title=t, description=d, category=c, tags=cleaned[:max_tags], attributes=a, max_chars=max_chars
            )
            text = item_text(template, fields, max_chars)
            rows.append((fields["title"], fields["category"] or None, cleaned, text))
        return pd.DataFrame(rows, columns=CLEANED.names)

    udf = pandas_udf(clean, CLEANED)  # type: ignore[call-overload]
    cleaned = udf("title", "description", "category", "tags", _key_values("attributes"))
    return items.select("item_id", "available", cleaned.alias("cleaned")).select("item_id", "available", "cleaned.*")


def count_interactions(
    interactions: DataFrame, behaviours: Behaviours, half_life_days: float, *, as_of: datetime
) -> DataFrame:
    """Return `item_id, n_behaviours, n_users, popularity = sum of type weight x 2^(-age_days / half_life_days)`.

    Grouped by (item, user) first, so that no task holds the set of users of the most popular item.
    """
    # Weights decay from the newest interaction and are brought to as_of at the end. Otherwise, on data that ended years
    # before as_of, every weight would be below the resolution of the exact sum, and popularity would order nothing.
    newest = interactions.agg(F.max("ts").alias("newest"))
    weight = type_weight(behaviours) * decay(F.col("newest"), half_life_days)
    per_user = (
        interactions.join(F.broadcast(newest), how="cross")
        .groupBy("item_id", "user_id")
        .agg(F.count("*").alias("n"), F.sum(exact(weight)).alias("weight"), F.max("newest").alias("ts"))
    )
    popularity = F.sum("weight").cast("double") * decay(F.lit(as_of), half_life_days)
    return (
        per_user.groupBy("item_id", "ts")
        .agg(
            F.sum("n").alias("n_behaviours"),
            F.count("*").alias("n_users"),
            popularity.alias("popularity"),
        )
        .drop("ts")
    )


def _key_values(attributes: str) -> Column:
    """Return a map column as sorted strings `key value`, without entries that have no value."""
    entries = F.filter(F.map_entries(attributes), lambda e: F.length(F.trim(e["value"])) > 0)
    return F.transform(F.array_sort(entries), lambda e: F.concat_ws(" ", e["key"], e["value"]))
