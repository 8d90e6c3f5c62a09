"""Vectors that cannot be scored: they are set aside by id before any work, or refused if they do not fit the model."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.errors import DataError
from recsys_spark.tables import ITEM_VECTORS, REJECTED_ROWS, USER_VECTORS

USER_COLUMNS, ITEM_COLUMNS = ("x",), ("y", "theta")
NOT_FINITE = "vector_not_finite"


def sound(vectors: DataFrame) -> DataFrame:
    """Return the rows of USER_VECTORS or ITEM_VECTORS whose vectors are there and finite."""
    return vectors.where(_problem(vectors).isNull())


def rejected_vectors(user_vectors: DataFrame, item_vectors: DataFrame) -> DataFrame:
    """Return REJECTED_ROWS with the ids that :func:`sound` leaves out, as `no_vector` or `vector_not_finite`."""

    def of(vectors: DataFrame, table: str, key: str) -> DataFrame:
        bad = vectors.select(key, _problem(vectors).alias("reason")).where("reason is not null")
        return bad.select(F.lit(table).alias("table"), "reason", F.to_json(F.struct(key)).alias("row"))

    users = of(user_vectors, USER_VECTORS.name, "user_id")
    return REJECTED_ROWS.conform(users.unionByName(of(item_vectors, ITEM_VECTORS.name, "item_id")))


def check_widths(user_vectors: DataFrame, item_vectors: DataFrame, width: int) -> None:
    """Raise DataError unless every vector has the model's width; reads both tables once."""
    sizes = [user_vectors.select(F.size("x").alias("width"), F.lit("user vectors").alias("what"))]
    sizes += [
        item_vectors.select(F.size(name).alias("width"), F.lit(f"item vectors ({name})").alias("what"))
        for name in ITEM_COLUMNS
    ]
    # A missing vector has size -1 and is rejected by id.
    counted = reduce(DataFrame.union, sizes).where(f"width not in (-1, {int(width)})").groupBy("what", "width").count()
    wrong = counted.orderBy("what", "width").limit(5).collect()
    if wrong:
        raise DataError(
            "Vectors differ in width from the model",
            where="score",
            found=", ".join(f"{row['count']} {row['what']} of width {row['width']}" for row in wrong),
            expected=f"width {width}, the width of the model",
            action="Run the train and score stages again; do not mix vectors of two models.",
        )


def _problem(vectors: DataFrame) -> Column:
    columns = USER_COLUMNS if "x" in vectors.columns else ITEM_COLUMNS
    missing = reduce(Column.__or__, [F.col(name).isNull() for name in columns])
    # The largest of an array with a NaN is NaN. Both are compiled by Spark, unlike a predicate per element.
    ends = [end(name) for name in columns for end in (F.array_max, F.array_min)]
    if "bias" in vectors.columns:
        ends.append(F.coalesce("bias", F.lit(0.0)))
    odd = reduce(Column.__or__, [F.isnan(end) | (F.abs(end) == F.lit(float("inf"))) for end in ends])
    return F.when(missing, F.lit("no_vector")).when(odd, F.lit(NOT_FINITE))
