"""Vectors of items and of users, computed by the model on executors from profiles and embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import Positions, from_arrow, vectors_of
from recsys_spark.model.kernels.links import Evidence
from recsys_spark.model.kernels.popularity import Popularity
from recsys_spark.model.kernels.recommender import ItemMatrix, Recommender
from recsys_spark.numerics.arrays import F32
from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS
from recsys_spark.worker.cache import Shared, cached, freeze_imports
from recsys_spark.worker.threads import limit_threads


def build_item_vectors(items: DataFrame, model: Shared[Artifact], *, model_id: str, n_threads: int) -> DataFrame:
    """Return ITEM_VECTORS for the rows of ``model.inputs.item_inputs``; new items get their vectors from text alone."""

    def vectors(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_threads(n_threads)
        recommender = cached(("recommender", model_id), lambda: Recommender(model.value))
        for batch in batches:
            text, present = vectors_of(batch.column("vector"), recommender.shape.text_width)
            ids = batch.column("item_id").to_numpy(zero_copy_only=False).astype(object)
            out = recommender.item_vectors(ids, text, present, Popularity.of(batch))
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("item_id"),
                    _lists(out.y),
                    _lists(out.theta),
                    _lists(out.token),
                    pa.array(out.bias),
                    batch.column("available"),
                    pa.array(out.link, pa.int32(), mask=out.link < 0),
                ],
                names=ITEM_VECTORS.names,
            )
        freeze_imports()

    return items.mapInArrow(vectors, ITEM_VECTORS.schema)


def build_user_vectors(
    users: DataFrame, model: Shared[Artifact], items: Shared[ItemMatrix], *, model_id: str, n_threads: int
) -> DataFrame:
    """Return USER_VECTORS for the rows of ``model.inputs.user_inputs``; without usable history the profile serves."""
    return users.mapInArrow(_user_vectors(model, items, model_id, n_threads), USER_VECTORS.schema)


def _user_vectors(
    model: Shared[Artifact], items: Shared[ItemMatrix], model_id: str, n_threads: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def vectors(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_threads(n_threads)
        recommender = cached(("recommender", model_id), lambda: Recommender(model.value))
        positions = cached(("positions", items.value.fingerprint), lambda: Positions(items.value.ids))
        for batch in batches:
            histories = from_arrow(batch, positions, recommender.behaviours, recommender.shape.text_width)
            x = recommender.user_vectors(histories, items.value.tokens)
            linked, boosts = _boost_lists(recommender.user_boosts(histories, items.value.link), histories.n_users)
            sources = np.where(histories.lengths > 0, "history", "profile")
            yield pa.RecordBatch.from_arrays(
                [batch.column("user_id"), _lists(x), linked, boosts, pa.array(sources, pa.string())],
                names=USER_VECTORS.names,
            )
        freeze_imports()

    return vectors


def _boost_lists(boosts: Evidence, n_users: int) -> tuple[pa.Array, pa.Array]:
    """Return link numbers and values of each user as columns of arrays."""
    offsets = pa.array(np.searchsorted(boosts.row, np.arange(n_users + 1)).astype(np.int32))
    columns = (pa.array(boosts.item.astype(np.int32)), pa.array(boosts.value))
    linked, values = (pa.ListArray.from_arrays(offsets, column) for column in columns)
    return linked, values


def _lists(matrix: F32) -> pa.Array:
    """Return a matrix as a column of arrays, without a loop over rows."""
    n, width = matrix.shape
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).reshape(-1)))
