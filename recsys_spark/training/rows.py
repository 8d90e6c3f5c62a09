"""The input of a training task: one stream of item and user rows, and the training data made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Behaviours, Config

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data

HASH_SPACE = 1 << 30
ITEM, USER = 0, 1
SLOTS_LOOKED_AT = 64
"""Numbers tried per partition: enough that at least one of them falls into each partition."""


def training_rows(items: DataFrame, users: DataFrame, cfg: Config, *, n_users: int) -> DataFrame:
    """Return rows of the catalogue and of the users who have a history, to be sorted by `kind` and `id`.

    ``items`` and ``users`` are model.inputs.item_inputs and user_inputs; ``n_users`` is the number of users. If it is
    above `model.max_training_users`, users are thinned by a hash of their id.
    """
    trained = users.where(F.size("items") > 0)
    if n_users > cfg.model.max_training_users:
        share = F.pmod(F.xxhash64("user_id", F.lit(cfg.run.seed)), F.lit(HASH_SPACE)) / F.lit(HASH_SPACE)
        trained = trained.where(share < F.lit(cfg.model.max_training_users / n_users))
    return items.select(
        F.lit(ITEM).alias("kind"), F.col("item_id").alias("id"), "vector", "popularity", "n_behaviours"
    ).unionByName(
        trained.withColumn("kind", F.lit(USER)).withColumnRenamed("user_id", "id"),
        allowMissingColumns=True,
    )


def slots_of(rows: DataFrame, n: int) -> DataFrame:
    """Return (number, slot): for each of ``n`` partitions a value that Spark's hash puts there.

    So repartition(n, slot) sends each number to its own partition.
    """
    numbers = rows.sparkSession.range(SLOTS_LOOKED_AT * n)
    # repartition takes the same hash modulo the number of partitions.
    number = F.pmod(F.hash("id"), F.lit(n)).cast("int").alias("number")
    return numbers.select(number, "id").groupBy("number").agg(F.min("id").alias("slot"))


@dataclass(frozen=True)
class DataSettings:
    """The settings that a task needs to make :class:`Data` of its rows."""

    behaviours: Behaviours
    half_life_days: float
    """Half-life of an item's popularity."""
    predict_repeats: bool

    @classmethod
    def of(cls, cfg: Config) -> DataSettings:
        """Return the settings of a configuration."""
        return cls(cfg.behaviours, cfg.rerank.popular_half_life_days, cfg.score.exclude_seen is not True)


def data_of(table: pa.Table, settings: DataSettings, text_width: int) -> Data:
    """Return the data of a task's rows, in the order of :func:`training_rows`.

    It loads torch and BLAS: limit their threads first.
    """
    from recsys_spark.model.kernels.histories import INPUT_COLUMNS, Positions, from_arrow, vectors_of
    from recsys_spark.model.kernels.popularity import Popularity
    from recsys_spark.training.kernels.data import Catalogue, Data

    weights = settings.behaviours.weights
    behaviours = sorted(weights)
    kinds = table["kind"].to_numpy()
    item_rows, user_rows = table.filter(kinds == ITEM), table.filter(kinds == USER)
    vectors, has_vector = vectors_of(item_rows["vector"], text_width)
    catalogue = Catalogue(
        ids=item_rows["id"].to_numpy().astype(object),
        vectors=vectors,
        has_vector=has_vector,
        popularity=Popularity.of(item_rows),
    )
    names = ["user_id" if name == "id" else name for name in user_rows.column_names]
    users = user_rows.rename_columns(names).select(INPUT_COLUMNS)
    positions = Positions(catalogue.ids)
    histories = from_arrow(users, positions, {b: k for k, b in enumerate(behaviours)}, text_width)
    return Data(
        catalogue,
        histories,
        behaviours,
        type_weights=[weights[name] for name in behaviours],
        default_weight=settings.behaviours.default_weight or 0.0,
        half_life_days=settings.half_life_days,
        max_history=settings.behaviours.max_history,
        predict_repeats=settings.predict_repeats,
    )
