"""Links equal EASE by a plain inverse. The user's own row is left out by fitting again without the user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_spark.config.model import Model
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels import links
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.links import MIN_EVIDENCE, Evidence, evidence_for, strongest
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.model.kernels.tower import link_boosts
from recsys_spark.training.kernels import link_fit as module
from recsys_spark.training.kernels import links_gpu as links_device
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.link_fit import evidence_without_self, fit_links
from recsys_spark.training.kernels.links_gpu import DeviceLinks
from tests.model.worlds import N_ITEMS, catalogue, data, histories, tasteful_users

N, PENALTY = 30, 5.0


def some_histories(n_users: int = 120) -> Histories:
    """Some of them have an item twice."""
    rng = np.random.default_rng(0)
    rows = [rng.choice(N, rng.integers(1, 8), replace=False).tolist() for _ in range(n_users)]
    # Rows of B have at most 29 entries here, so none is dropped.
    return histories([[*row, row[0]] if len(row) > 4 else row for row in rows])


def chosen(users: Histories) -> np.ndarray:
    x = np.zeros((users.n_users, N))
    x[np.repeat(np.arange(users.n_users), users.lengths), users.items] = 1
    return x


def ease(x: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(x.T @ x + PENALTY * np.eye(N))
    weights: np.ndarray = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def dense(evidence: Evidence, n_rows: int) -> np.ndarray:
    out = np.zeros((n_rows, N))
    out[evidence.row, evidence.item] = evidence.value
    return out


@pytest.mark.parametrize("rows_at_once", [7, 1_024])
def test_evidence_equals_ease_fitted_without_the_user(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows_at_once)
    users = some_histories()
    found = evidence_for(fit_links(users, N, most_items=N, penalty=PENALTY).links(), users)
    x = chosen(users)
    want = np.stack([row @ ease(np.delete(x, user, axis=0)) for user, row in enumerate(x)])
    np.testing.assert_allclose(dense(found, users.n_users), np.where(want >= MIN_EVIDENCE, want, 0), atol=1e-5)


@pytest.mark.parametrize("dense_cells", [None, 40, 1 << 20])
def test_training_sees_only_the_links_of_other_users(monkeypatch: pytest.MonkeyPatch, dense_cells: int | None) -> None:
    """Tests both ways: item by item as the CPU goes, and in dense blocks as a GPU does."""
    users = some_histories()
    row = np.repeat(np.arange(users.n_users), users.lengths)
    column = np.arange(len(row)) - users.offsets[row]
    some = np.flatnonzero(np.random.default_rng(1).random(len(row)) < 0.6)
    fitted = fit_links(users, N, most_items=N, penalty=PENALTY)
    if dense_cells is None:
        found = evidence_without_self(fitted, users, row[some], column[some])
    else:
        monkeypatch.setattr(links_device, "MAX_CELLS", dense_cells)
        found = DeviceLinks(fitted, torch.device("cpu")).evidence_without_self(users, row[some], column[some])
    x = chosen(users)
    for k, at in enumerate(some):
        prefix = np.zeros(N)
        prefix[users.items[users.offsets[row[at]] : at + 1]] = 1
        want = prefix @ ease(np.delete(x, row[at], axis=0))
        np.testing.assert_allclose(
            dense(found, len(some))[k],
            np.where(want >= MIN_EVIDENCE, want, 0),
            atol=1e-5,
            err_msg=f"{row[at]}, {column[at]}",
        )


def test_evidence_that_exceeds_the_first_room_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    users = some_histories()
    row = np.repeat(np.arange(users.n_users), users.lengths)
    column = np.arange(len(row)) - users.offsets[row]
    fitted = fit_links(users, N, most_items=N, penalty=PENALTY)
    want = evidence_without_self(fitted, users, row, column)
    monkeypatch.setattr(module, "ROOM_PER_ROW", 0)
    for found, wanted in zip(evidence_without_self(fitted, users, row, column), want, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_only_the_most_chosen_items_are_linked() -> None:
    users = histories([[0, 1, 2]] * 5 + [[1, 2]] * 5 + [[5, 6]] * 2)
    fitted = fit_links(users, 8, most_items=2, penalty=1.0)
    assert fitted.linked.tolist() == [1, 2]
    found = evidence_for(fitted.links(), users)
    assert set(found.item.tolist()) == {1, 2}
    assert set(found.row.tolist()) == set(range(10))


@pytest.mark.parametrize("most_items", [0, 1])
def test_without_linked_items_there_is_no_evidence(most_items: int) -> None:
    users = histories([[0, 1]] * 5)
    fitted = fit_links(users, 3, most_items=most_items, penalty=1.0)
    assert not len(evidence_for(fitted.links(), users).row)
    assert not len(evidence_without_self(fitted, users, np.array([0]), np.array([0])).row)


def test_a_penalty_that_is_lost_in_rounding_is_refused_by_its_key() -> None:
    with pytest.raises(TrainingError, match=r"(?s)link_penalty.*300 users"):
        fit_links(histories([[0, 1]] * 300), 2, most_items=2, penalty=1e-9)


def test_strongest_evidence_and_all_own_items_are_kept_and_ties_go_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_PER_USER", 2)
    rows, items = np.array([0, 0, 0, 0, 2]), np.array([9, 4, 6, 1, 1])
    evidence = Evidence(rows, items, np.array([0.5, 0.5, 0.9, 0.95, 0.1], np.float32))
    found = strongest(evidence, np.array([False, False, False, True, False]), 3)
    assert [values.tolist() for values in (found.row, found.item)] == [[0, 0, 0, 2], [1, 4, 6, 1]]


def test_boosts_rise_with_evidence_and_strength_may_fall_with_length() -> None:
    evidence = torch.tensor([0.01, 0.1, 0.1])
    boosts = link_boosts(evidence, torch.tensor([1.0, 1.0, 10.0]), torch.tensor([0.0, 0.0, -0.5]))
    torch.testing.assert_close(
        boosts, torch.log((evidence + 0.02) / (MIN_EVIDENCE + 0.02)) * torch.tensor([1.0, 1.0, 10**-0.5])
    )


def test_items_that_go_together_are_learned_as_links() -> None:
    """Pairs (0, 1), (2, 3) ... that no taste and no text explains: 20 pairs are more than a width of 2 can hold."""
    rng = np.random.default_rng(2)
    rows = [
        [int(v) for pair in rng.choice(N_ITEMS // 2, 3, replace=False) for v in (2 * pair, 2 * pair + 1)]
        for _ in range(300)
    ]
    rows = [[row[k] for k in rng.permutation(len(row))] for row in rows]
    users = replace(histories(rows), times=np.zeros(6 * 300))

    def found(linked_items: int) -> float:
        artifact = fit(
            data(users),
            Model(width=2, n_heads=1, n_layers=1, epochs=4, batch_positions=256, linked_items=linked_items),
            seed=0,
        )
        recommender, world = Recommender(artifact), catalogue()
        vectors = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
        alone = histories([[item] for item in range(N_ITEMS)])
        logits = recommender.user_vectors(alone, vectors.token) @ vectors.theta.T + vectors.bias
        boosts = recommender.user_boosts(alone, vectors.link)
        logits[boosts.row, boosts.item] += boosts.value
        np.fill_diagonal(logits, -np.inf)
        return float((logits.argmax(1) == np.arange(N_ITEMS) ^ 1).mean())

    assert found(linked_items=0) < 0.6
    assert found(linked_items=100) > 0.9


def test_reasons_count_the_links_of_a_behaviour() -> None:
    users = tasteful_users()
    artifact = fit(data(users), Model(width=8, n_layers=1, epochs=2, trial_epochs=0), seed=0)
    recommender, world = Recommender(artifact), catalogue()
    link = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity).link
    boosts = recommender.pair_boosts(link[[0, 39, 1]], link[[1, 2, 39]])
    assert boosts.shape == (3, 3)
    assert link[39] == -1, "the last items of each taste are never touched"
    assert not boosts[1].any()
    assert not boosts[:, 2].any()
    weights = torch.from_numpy(fit_links(users, N_ITEMS, most_items=N_ITEMS, penalty=100.0).links().matrix().toarray())
    for row, column, pair in ((0, 0, (0, 1)), (0, 1, (0, 2)), (2, 1, (1, 2))):
        want = link_boosts(weights[pair], torch.ones(()), torch.from_numpy(artifact.tensors["items.link"]))
        np.testing.assert_allclose(boosts[row, column], want, rtol=1e-4, atol=1e-6)
    assert (boosts[:2, :2] > 0).any()
