"""Items that friends like have higher logits for users without a history, in training and in scoring alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.model.kernels.tower import FRIEND_FLOOR, SCALAR_STEPS
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import N_ITEMS, catalogue, data, histories

SETTINGS = Model(
    width=8, n_layers=1, epochs=12, trial_epochs=0, batch_positions=512, learning_rate=2e-2, linked_items=0
)
PER_USER = 4


def circles(n_users: int = 300, *, shared: bool = True) -> Histories:
    """Users with items that only their friends' items predict, or that nothing predicts."""
    rng = np.random.default_rng(3)
    rows = [list(rng.choice(N_ITEMS, PER_USER, replace=False)) for _ in range(n_users)]
    of_friends = rows if shared else [list(rng.choice(N_ITEMS, PER_USER, replace=False)) for _ in range(n_users)]
    return histories(rows, social={u: sorted(map(int, items)) for u, items in enumerate(of_friends)})


@pytest.fixture(scope="module")
def trained() -> Artifact:
    return fit(data(circles()), SETTINGS, seed=0)


def strength(artifact: Artifact) -> float:
    """The boost of an item that has a quarter of the friends' weight."""
    log_strength, log_floor = artifact.tensors["items.friend"] * SCALAR_STEPS
    floor = FRIEND_FLOOR * np.exp(log_floor)
    return float(np.exp(log_strength) * np.log((1 / PER_USER + floor) / floor))


def boosts(artifact: Artifact, users: Histories) -> dict[tuple[int, int], float]:
    """The boosts by user and item."""
    recommender, world = Recommender(artifact), catalogue()
    items = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    found = recommender.user_boosts(users, items.link)
    item = np.argsort(items.link)[np.searchsorted(np.sort(items.link), found.item)]
    return {(int(u), int(i)): float(value) for u, i, value in zip(found.row, item, found.value, strict=True)}


def test_items_of_friends_are_raised_by_their_share(trained: Artifact) -> None:
    users = histories([[], [1, 2], []], social={0: [3, 7, 9, 20], 1: [3, 7, 9, 20]})
    found = boosts(trained, users)
    assert set(found) == {(0, 3), (0, 7), (0, 9), (0, 20)}
    np.testing.assert_allclose(list(found.values()), strength(trained), rtol=1e-5)
    heavier = replace(users, social_weights=np.array([8.0, 1.0, 1.0, 6.0] * 2, np.float32))
    raised = boosts(trained, heavier)
    assert raised[0, 3] > raised[0, 20] > raised[0, 7] == raised[0, 9]


def test_items_of_friends_that_were_not_in_training_are_ignored(trained: Artifact) -> None:
    """As in training, where they are dropped before the shares are made."""
    fewer = trained.noting(warm_item_ids=trained.facts.warm_item_ids[:-2])
    users = histories([[], []], social={0: [3, 7, N_ITEMS - 1], 1: [3, 7]})
    found = boosts(fewer, users)
    assert set(found) == {(0, 3), (0, 7), (1, 3), (1, 7)}
    assert found[0, 3] == pytest.approx(found[1, 3])


def test_training_learns_how_much_friends_matter(trained: Artifact) -> None:
    at_first = np.log((1 / PER_USER + FRIEND_FLOOR) / FRIEND_FLOOR)
    assert strength(trained) > at_first
    assert strength(fit(data(circles(shared=False)), SETTINGS, seed=0)) < at_first - 0.5


def test_a_user_known_by_friends_gets_their_items(trained: Artifact) -> None:
    recommender, world = Recommender(trained), catalogue()
    items = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    users = histories([[]] * 20, social={u: [u, u + 10, u + 15, (u + 33) % N_ITEMS] for u in range(20)})
    logits = recommender.user_vectors(users, items.token) @ items.theta.T + items.bias
    for (user, item), value in boosts(trained, users).items():
        logits[user, item] += value
    best = np.sort(np.argsort(-logits, axis=1)[:, :PER_USER], axis=1)
    want = np.sort([[u, u + 10, u + 15, (u + 33) % N_ITEMS] for u in range(20)], axis=1)
    assert (best == want).mean() > 0.95
