"""The combined rank in Spark SQL: log Z of a user's parts, and scores as columns."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.scoring.kernels.rank import Rank, combined, less_log_z


def log_sum_exp(values: Column) -> Column:
    """Return log(sum_k exp(value_k)) of an array of doubles, in the order of the array."""
    top = F.array_max(values)
    return top + F.log(F.aggregate(values, F.lit(0.0), lambda total, value: total + F.exp(value - top)))


def score_of_terms(cosine: Column, log_prob: Column, rank: Rank) -> Column:
    """Return the score of a cosine and a log P."""
    score: Column = combined(rank, cosine, log_prob)
    return score


def score_of_raw(raw: Column, log_z: Column, rank: Rank) -> Column:
    """Return the score of a raw score; a null ``log_z`` counts as 0."""
    score: Column = less_log_z(rank, raw, F.coalesce(log_z, F.lit(0.0)))
    return score
