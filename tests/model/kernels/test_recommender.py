"""Vectors are those of the user and of the item alone, to the last bit, whoever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.popularity import Popularity
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.arrays import I64
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import N_ITEMS, TEXT_WIDTH, data, histories, tasteful_users

SIZES = (1, 37, 250, 699)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender(fit(data(tasteful_users()), Model(width=64, n_layers=2, epochs=1), seed=0))


def parts(n: int) -> Iterator[I64]:
    """Parts of many sizes, and their members in any order."""
    order = np.random.default_rng(1).permutation(n)
    for size in SIZES:
        yield from np.array_split(order, max(1, n // size))[:20]


def users(n: int) -> Histories:
    chance = np.random.default_rng(0)
    rows = [chance.integers(0, N_ITEMS, chance.integers(0, 10)).tolist() for _ in range(n)]
    friends = {k: chance.integers(0, N_ITEMS, chance.integers(1, 600)).tolist() for k in range(0, n, 2)}
    texts = {k: chance.normal(size=TEXT_WIDTH).astype(np.float32) for k in range(0, n, 3)}
    made = histories(rows, social=friends, texts=texts)
    made.social_weights[:] = chance.random(len(made.social_weights))
    return made


def test_a_users_vector_does_not_depend_on_the_batch(recommender: Recommender) -> None:
    everyone = users(700)
    tokens = np.random.default_rng(2).normal(size=(N_ITEMS, 64)).astype(np.float32)
    whole = recommender.user_vectors(everyone, tokens)
    for part in parts(700):
        np.testing.assert_array_equal(recommender.user_vectors(everyone.take(part), tokens), whole[part])


def test_an_items_vectors_do_not_depend_on_the_batch(recommender: Recommender) -> None:
    chance = np.random.default_rng(3)
    ids = np.array([f"i{k:02d}" for k in range(700)], dtype=object)
    texts, known = chance.normal(size=(700, TEXT_WIDTH)).astype(np.float32), chance.random(700) < 0.9
    popularity = Popularity(chance.random(700) * 9, chance.integers(0, 9, 700).astype(np.float64))
    whole = recommender.item_vectors(ids, texts, known, popularity)
    for part in parts(700):
        of_part = Popularity(popularity.recent[part], popularity.total[part])
        for found, want in zip(
            recommender.item_vectors(ids[part], texts[part], known[part], of_part), whole, strict=True
        ):
            np.testing.assert_array_equal(found, want[part])


def test_a_batch_may_be_empty(recommender: Recommender) -> None:
    nobody = np.zeros(0, np.int64)
    tokens = np.zeros((N_ITEMS, 64), np.float32)
    assert recommender.user_vectors(users(3).take(nobody), tokens).shape == (0, 64)
    empty = recommender.item_vectors(
        np.zeros(0, object),
        np.zeros((0, TEXT_WIDTH), np.float32),
        np.zeros(0, bool),
        Popularity(np.zeros(0), np.zeros(0)),
    )
    assert empty.y.shape == (0, 64)
