"""The weight of one behaviour by type, value and age, as Spark column expressions."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config.sections import Behaviours

MAX_WEIGHT = 1e12
"""Keeps products and sums finite, whatever a source holds in `value`."""
MICROS_PER_DAY = 86_400e6


def type_weight(behaviours: Behaviours) -> Column:
    """Return the weight of column `behaviour`; 0 for an unknown type without a default, which ingest refuses."""
    weight = F.lit(behaviours.default_weight or 0.0)
    for name, value in behaviours.weights.items():
        weight = F.when(F.col("behaviour") == F.lit(name), F.lit(value)).otherwise(weight)
    return weight


def value_factor(behaviours: Behaviours) -> Column:
    """Return the factor that column `value` contributes to the weight; 1 for null."""
    value = F.col("value")
    transforms = {"none": F.lit(1.0), "linear": value, "log1p": F.log1p(value), "sqrt": F.sqrt(value)}
    return F.coalesce(transforms[behaviours.value_transform], F.lit(1.0))


def decay(reference: Column, half_life_days: float | None) -> Column:
    """Return `2^(-age / half life)`, where age is `reference - ts` in days; 1 without a half-life."""
    if half_life_days is None:
        return F.lit(1.0)
    age_days = (F.unix_micros(reference) - F.unix_micros(F.col("ts"))) / F.lit(MICROS_PER_DAY)
    return F.pow(F.lit(2.0), -age_days / F.lit(half_life_days))


def undecayed_weight(behaviours: Behaviours) -> Column:
    """Return behaviour weight x value transform of a row of `interactions`, at most MAX_WEIGHT."""
    return F.least(type_weight(behaviours) * value_factor(behaviours), F.lit(MAX_WEIGHT))


def exact(weight: Column) -> Column:
    """Return the weight as a decimal, for sums that do not depend on the order of rows, and so not on partitions.

    The resolution is 1e-20, so weights must be brought to a scale near 1 before.
    """
    return weight.cast("decimal(38,20)")
