"""What a baseline is: vectors of users and items, so that the same scorer makes the lists of every model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.schema import FLOATS
from recsys_spark.scoring.boost_columns import with_boost_columns
from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS

Vectors = tuple[DataFrame, DataFrame]
"""USER_VECTORS and ITEM_VECTORS; the logit x . theta + bias alone decides the order, ties go by item_id."""


@dataclass(frozen=True)
class Known:
    """What a baseline may look at: everything before the cut."""

    interactions: DataFrame
    """INTERACTIONS."""
    item_profiles: DataFrame
    """ITEM_PROFILES."""
    users: DataFrame
    """(user_id): whom to serve."""
    cfg: Config


@dataclass(frozen=True)
class Baseline:
    """One rival of the backtest."""

    name: str
    """As `evaluate.baselines` and the report say it."""
    vectors: Callable[[Known], Vectors]
    """Returns the vectors; a user without one gets the popular list."""
    knows_everyone: bool = False
    """Whether each of ``Known.users`` has a vector."""


def as_tables(user_vectors: DataFrame, item_vectors: DataFrame) -> Vectors:
    """Return USER_VECTORS and ITEM_VECTORS; a baseline has no links."""
    return (
        USER_VECTORS.conform(with_boost_columns(user_vectors, USER_VECTORS)),
        ITEM_VECTORS.conform(with_boost_columns(item_vectors, ITEM_VECTORS)),
    )


def constant(value: float, width: int) -> Column:
    """Return a vector whose numbers are all ``value``."""
    return F.array_repeat(F.lit(value).cast("float"), width).cast(FLOATS)
