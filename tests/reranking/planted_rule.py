"""A rule as a stranger would add it, in one file and one entry of a list: it brings one category to the front."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.reranking.rules.rule import Rule, oversampled


def is_on(cfg: Config) -> bool:
    return "planted.first" in cfg.spark


def apply(candidates: DataFrame, cfg: Config) -> DataFrame:
    first = F.coalesce(F.col("category") == cfg.spark["planted.first"], F.lit(False))
    order = Window.partitionBy("user_id").orderBy(F.desc(first), F.col("rank"))
    return candidates.withColumn("rank", F.row_number().over(order))


RULE = Rule(
    "planted", settings=("spark", "run.top_n", "score.oversample"), is_on=is_on, apply=apply, candidates=oversampled
)
