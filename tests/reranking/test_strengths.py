"""Reasons: the evidence named first is the one whose removal costs the item most."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.recommender import ItemVectors, Recommender
from recsys_spark.reranking.strengths import best_rows, part_vectors, strengths
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import catalogue, data, histories, tasteful_users

SETTINGS = Model(width=16, n_layers=1, epochs=8, batch_positions=256, learning_rate=1e-2, dropout=0.0, trial_epochs=0)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    artifact = fit(data(tasteful_users(), behaviours=("browse", "purchase")), SETTINGS, seed=0)
    return Recommender(artifact)


@pytest.fixture(scope="module")
def items(recommender: Recommender) -> ItemVectors:
    world = catalogue()
    return recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)


def test_strongest_evidence_comes_first_and_an_item_counts_once() -> None:
    strength = np.array([[0.1, 5.0], [3.0, 1.0], [2.0, 1.0], [2.5, 0.0]])
    assert best_rows(strength, np.array([7, 8, 9, 8]), 2).tolist() == [[1, 2], [0, 2]]


def test_of_equal_evidence_the_most_recent_comes_first() -> None:
    assert best_rows(np.zeros((3, 1)), np.array([1, 2, 3]), 2).tolist() == [[2, 1]]


def test_fewer_behaviours_than_reasons_leave_places_empty() -> None:
    assert best_rows(np.zeros((1, 1)), np.array([4]), 3).tolist() == [[0, -1, -1]]


def test_a_behaviour_of_the_items_taste_is_the_reason(recommender: Recommender, items: ItemVectors) -> None:
    """The user has three behaviours of taste A and one, the latest, of taste B."""
    user = histories([[0, 1, 2, 25]])
    found = part_vectors(recommender, user, items.token)
    of_b = strengths(found.history, items.y[[21]], items.theta[[21]], Rank())
    of_a = strengths(found.history, items.y[[5]], items.theta[[5]], Rank())
    assert best_rows(of_b, user.items, 1)[0, 0] == 3
    assert best_rows(of_a, user.items, 1)[0, 0] in (0, 1, 2)


def test_removing_the_reason_costs_more_than_removing_another_behaviour(
    recommender: Recommender, items: ItemVectors
) -> None:
    rng = np.random.default_rng(5)
    rows = [[*rng.choice(16, 2, replace=False), *(20 + rng.choice(16, 2, replace=False))] for _ in range(60)]
    target, costs_of_reason, costs_of_others = 5, [], []
    for row in rows:
        user = histories([row])
        found = part_vectors(recommender, user, items.token)
        strength = strengths(found.history, items.y[[target]], items.theta[[target]], Rank())
        reason = int(best_rows(strength, user.items, 1)[0, 0])
        whole = logit(recommender, items, row, target)
        for k in range(len(row)):
            cost = whole - logit(recommender, items, [*row[:k], *row[k + 1 :]], target)
            (costs_of_reason if k == reason else costs_of_others).append(cost)
    assert np.mean(costs_of_reason) > np.mean(costs_of_others) + 0.1


def logit(recommender: Recommender, items: ItemVectors, row: list[int], item: int) -> float:
    x = recommender.user_vectors(histories([row]), items.token)
    return float(x[0] @ items.theta[item])


def test_an_old_behaviour_is_weaker_evidence(recommender: Recommender, items: ItemVectors) -> None:
    found = part_vectors(recommender, histories([[1, 2]], weights=[[0.01, 1.0]]), items.token)
    assert found.history_prior[1] == 0
    assert found.history_prior[0] < 0


def test_users_without_history_have_no_history_evidence(recommender: Recommender, items: ItemVectors) -> None:
    found = part_vectors(recommender, histories([[], []], social={1: [3]}), items.token)
    assert found.history.shape == (0, 16)
    assert found.social.shape == (2, 16)
