"""What one behaviour weighs: type, value and age as Spark column expressions, shared by the stages."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config.sections import Behaviours

MAX_WEIGHT = 1e12  # keeps products and sums finite, whatever a source holds in `value`
MICROS_PER_DAY = 86_400e6


def type_weight(behaviours: Behaviours) -> Column:
    """Weight of column `behaviour`; 0 where it is unknown and has no default (ingest has refused those)."""
    weight = F.lit(behaviours.default_weight or 0.0)
    for name, value in behaviours.weights.items():
        weight = F.when(F.col("behaviour") == F.lit(name), F.lit(value)).otherwise(weight)
    return weight


def value_factor(behaviours: Behaviours) -> Column:
    """What column `value` multiplies the weight by; null counts as factor 1."""
    value = F.col("value")
    transforms = {"none": F.lit(1.0), "linear": value, "log1p": F.log1p(value), "sqrt": F.sqrt(value)}
    return F.coalesce(transforms[behaviours.value_transform], F.lit(1.0))


def decay(reference: Column, half_life_days: float | None) -> Column:
    """`2^(-age / half life)`, age being `reference - ts` in days; 1 where there is no half-life."""
    if half_life_days is None:
        return F.lit(1.0)
    age_days = (F.unix_micros(reference) - F.unix_micros(F.col("ts"))) / F.lit(MICROS_PER_DAY)
    return F.pow(F.lit(2.0), -age_days / F.lit(half_life_days))


def undecayed_weight(behaviours: Behaviours) -> Column:
    """Behaviour weight x value transform of a row of `interactions`, at most MAX_WEIGHT."""
    return F.least(type_weight(behaviours) * value_factor(behaviours), F.lit(MAX_WEIGHT))


def behaviour_weight(behaviours: Behaviours, as_of: datetime, *, half_life_days: float | None) -> Column:
    """Behaviour weight x value transform x `2^(-age_days / half_life_days)` of a row of `interactions`."""
    return undecayed_weight(behaviours) * decay(F.lit(as_of), half_life_days)


def exact(weight: Column) -> Column:
    """The weight as a decimal to sum: a sum of doubles depends on the order of its rows, and so on the partitions.

    Resolution 1e-20, so bring the weights to a scale near 1 before.
    """
    return weight.cast("decimal(38,20)")
