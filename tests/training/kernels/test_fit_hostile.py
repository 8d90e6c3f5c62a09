"""Histories that break trainers: the model must be finite, and so must every user's scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.popularity import Popularity
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.training.kernels.data import Catalogue, Data
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import N_ITEMS, catalogue, data, histories, tasteful_users

SETTINGS = Model(width=16, n_layers=1, epochs=2, batch_positions=256, dropout=0.0)
N_TYPES = 2
LONG = 1_000


def one_item() -> tuple[Catalogue, Histories]:
    world = catalogue()
    first = Popularity(np.ones(1), np.ones(1))
    return replace(
        world, ids=world.ids[:1], vectors=world.vectors[:1], has_vector=world.has_vector[:1], popularity=first
    ), histories([[0], [0, 0], [0] * 9] * 20)


def missing_embeddings() -> tuple[Catalogue, Histories]:
    world = catalogue()
    absent = np.arange(N_ITEMS) % 2 == 0
    world.vectors[absent] = 0.0
    return replace(world, has_vector=~absent), tasteful_users(600)


def no_embeddings() -> tuple[Catalogue, Histories]:
    world = catalogue()
    return replace(world, vectors=np.zeros_like(world.vectors), has_vector=np.zeros(N_ITEMS, bool)), tasteful_users(600)


def at(users: Histories, times: np.ndarray) -> tuple[Catalogue, Histories]:
    return catalogue(), replace(users, times=times)


def of_type(users: Histories, kind: int) -> tuple[Catalogue, Histories]:
    return catalogue(), replace(users, behaviours=np.full(len(users.items), kind))


CASES: dict[str, Callable[[], tuple[Catalogue, Histories]]] = {
    "a catalogue with one item": one_item,
    "users with one behaviour": lambda: (catalogue(), histories([[k % N_ITEMS] for k in range(60)])),
    "one user": lambda: (catalogue(), histories([[1, 2, 3]])),
    "all of one type": lambda: of_type(tasteful_users(600), 1),
    "all of a type that is not configured": lambda: of_type(tasteful_users(600), N_TYPES),
    "all timestamps equal": lambda: at(tasteful_users(600), np.zeros(3_600)),
    "times before 1970 and after 2100": lambda: at(tasteful_users(600), np.linspace(-9e9, 9e9, 3_600)),
    "embeddings missing for some items": missing_embeddings,
    "embeddings missing for all items": no_embeddings,
    "weights near zero": lambda: (catalogue(), replace(tasteful_users(600), weights=np.full(3_600, 1e-38, np.float32))),
    "popularity that has faded to nothing": lambda: (
        replace(catalogue(), popularity=Popularity(np.full(N_ITEMS, 1e-300), np.ones(N_ITEMS))),
        tasteful_users(600),
    ),
}


WITHOUT_TRIAL = {"a catalogue with one item", "users with one behaviour", "one user"}


@pytest.mark.parametrize("case", CASES)
def test_model_and_vectors_stay_finite_after_hostile_histories(case: str) -> None:
    world, users = CASES[case]()
    artifact = stays_finite(data(users, world=world, behaviours=("browse", "purchase")))
    assert bool(artifact.facts.trial) == (case not in WITHOUT_TRIAL)


@pytest.mark.parametrize("predict_repeats", [False, True])
def test_a_long_history_of_one_item_gives_a_finite_model(predict_repeats: bool) -> None:
    rows = [[7] * LONG, *([k % N_ITEMS, (k + 1) % N_ITEMS] for k in range(60))]
    told = data(histories(rows), behaviours=("browse", "purchase"), predict_repeats=predict_repeats)
    artifact = stays_finite(replace(told, max_history=LONG))
    assert artifact.tensors["tower.position.weight"].shape[0] == LONG
    assert artifact.facts.n_positions == LONG + 120


def stays_finite(told: Data) -> Artifact:
    """The model of a training on the data is finite.

    So are the vectors of its first user, of a user unlike all others and of a user without anything.
    """
    world, users = told.catalogue, told.histories
    artifact = fit(told, SETTINGS, seed=0)
    assert all(np.isfinite(tensor).all() for tensor in artifact.tensors.values())
    recommender = Recommender(artifact)
    items = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    # A type the model never saw, an item nobody touched, and a user with nothing at all.
    rows = [list(users.take(np.array([0])).items), [len(world.ids) - 1], []]
    served = histories(rows, behaviours=[[N_TYPES] * len(row) for row in rows])
    x = recommender.user_vectors(served, items.token)
    assert all(np.isfinite(part).all() for part in (x, items.y, items.theta, items.bias))
    return artifact
