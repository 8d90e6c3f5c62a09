"""The category cap: the first items of each category come before all others."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.reranking.rules.rule import Rule, oversampled


def is_on(cfg: Config) -> bool:
    """Return whether `rerank.max_per_category` is set."""
    return cfg.rerank.max_per_category > 0


def apply(candidates: DataFrame, cfg: Config) -> DataFrame:
    """Return the candidates with the first `rerank.max_per_category` items of each category in front.

    The others follow in their order, so that no list becomes shorter. An item without a category counts as a category
    of one item.
    """
    within = Window.partitionBy("user_id", F.coalesce("category", "item_id")).orderBy("rank")
    beyond = F.row_number().over(within) > cfg.rerank.max_per_category
    order = Window.partitionBy("user_id").orderBy(beyond, F.col("rank"))
    return candidates.withColumn("rank", F.row_number().over(order))


RULE = Rule(
    "category_cap",
    settings=("rerank.max_per_category", "run.top_n", "score.oversample"),
    is_on=is_on,
    apply=apply,
    candidates=oversampled,
)
