"""The cut to the length of a published list."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.reranking.rules.rule import Rule


def is_on(cfg: Config) -> bool:
    """Return whether lists are cut; with `score.top_n_per` they keep the best items of each category."""
    return not cfg.score.top_n_per


def apply(candidates: DataFrame, cfg: Config) -> DataFrame:
    """Return the first `run.top_n` candidates of each user."""
    return candidates.where(F.col("rank") <= cfg.run.top_n)


RULE = Rule("top_n", settings=("run.top_n", "score.top_n_per"), is_on=is_on, apply=apply)
