"""The quality benchmark's methods against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.quality.baselines import BASELINES, ease_weights, fit_recent, fit_text, last_items, nearest_items
from benchmarks.quality.methods import Fitted, Method, Texts, Train, popularity, served, tune
from benchmarks.quality.metrics import OVERALL, evaluate
from benchmarks.quality.ours import combined, ours, without, without_push
from benchmarks.quality.profiles import undecayed
from benchmarks.quality.split import TEST, split_by_time, split_last, validation_of
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from recsys_spark.config.model import Model
from recsys_spark.config.sections import Score
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.choices import Choices
from tests.benchmarks.quality.world import world_of
from tests.model.worlds import facts
from tests.tiny_encoder import tiny_encoder

NONE = Encoder(model="none")


def matrix(n_users: int = 40, n_items: int = 12, seed: int = 0) -> sp.csr_matrix:
    return sp.csr_matrix((np.random.default_rng(seed).random((n_users, n_items)) < 0.25).astype(np.float32))


def no_texts() -> Texts:
    raise AssertionError("an id-only method asked for texts")


@pytest.mark.parametrize("block", [3, 1_024])
def test_ease_is_its_closed_form(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.quality.baselines.BLOCK_ROWS", block)
    x = matrix()
    dense = x.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + 7.0 * np.eye(12))
    expected = np.eye(12) - inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(ease_weights(x, 7.0), expected, atol=1e-6)


def test_ease_solves_the_ridge_regression_of_each_item_on_the_others() -> None:
    # Steck's B is the ridge solution with a zero diagonal, so each column is one regression without the item itself.
    dense = matrix(seed=1).toarray().astype(np.float64)
    others = np.arange(1, 12)
    left = dense[:, others].T @ dense[:, others] + 5.0 * np.eye(11)
    np.testing.assert_allclose(
        ease_weights(sp.csr_matrix(dense), 5.0)[others, 0],
        np.linalg.solve(left, dense[:, others].T @ dense[:, 0]),
        atol=1e-6,
    )


def test_ease_leaves_items_without_a_row_at_zero() -> None:
    world = world_of([(0, 1, 0.0), (0, 4, 0.0), (1, 1, 0.0), (1, 4, 0.0), (2, 4, 0.0)])
    scores = BASELINES["EASE"].fit(Train(world, no_texts), {"lambda": 1.0}).score(np.array([2, 0]))
    assert (scores[:, [0, 2, 3, 5]] == 0).all()
    assert scores[0, 1] > 0


@pytest.mark.parametrize("n_neighbours", [1, 3, 50])
@pytest.mark.parametrize("block", [5, 1_024])
def test_item_knn_is_brute_force(n_neighbours: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.quality.baselines.BLOCK_ROWS", block)
    x = matrix(seed=2)
    dense = x.toarray().astype(np.float64)
    counts = dense.sum(0)
    expected = np.zeros((12, 12))
    for item in range(12):
        similar = {
            other: dense[:, item] @ dense[:, other] / (np.sqrt(counts[item] * counts[other]) + 2.0)
            for other in range(12)
            if other != item
        }
        for other in sorted(similar, key=lambda other: (-similar[other], other))[:n_neighbours]:
            expected[item, other] = similar[other]
    np.testing.assert_allclose(nearest_items(x, n_neighbours, 2.0).toarray(), expected)


def test_item_knn_keeps_the_smaller_item_id_of_equals() -> None:
    x = sp.csr_matrix(np.array([[1, 1, 1, 1], [1, 1, 1, 1]], np.float32))
    kept = nearest_items(x, 2, 0.0).toarray()
    assert [np.flatnonzero(row).tolist() for row in kept] == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_recent_popularity_counts_late_rows_first_and_all_time_among_equals() -> None:
    rows = [(0, 0, 0.0), (1, 0, 0.0), (2, 0, 0.0), (0, 1, 1.0), (1, 2, 10.0), (2, 3, 10.0), (0, 3, 2.0)]
    scores = fit_recent(Train(world_of(rows), no_texts), {"share": 0.2}).score(np.array([0]))[0]
    # i2 and i3 are late; i3 has another user, i0 three, i1 one, i4 and i5 none.
    assert np.argsort(-scores, kind="stable").tolist() == [3, 2, 0, 1, 4, 5]


def test_text_neighbours_ask_with_the_last_items_and_without_them_with_the_tags() -> None:
    world = world_of([(0, 0, 1.0), (0, 1, 2.0), (1, 5, 1.0)])
    assert last_items(world, 1).toarray().tolist()[0] == [0, 1, 0, 0, 0, 0]
    items = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0], [0, 0]], np.float32)
    users = np.array([[0, 0], [2.0, 0.0], [0.0, 0.0]], np.float32)
    texts = Texts(items, np.arange(6) < 4, users, np.array([False, True, True]))
    fitted = fit_text(Train(world, lambda: texts), {"n_last": 1})
    # u1 has done something, but with an item that has no text.
    assert fitted.serves.tolist() == [True, True, True]
    assert fitted.score(np.array([0, 1, 2])).argmax(1).tolist() == [1, 0, 1]


def test_who_is_known_by_nothing_gets_what_is_popular() -> None:
    world = world_of([(0, 2, 0.0), (1, 2, 0.0), (1, 3, 0.0)])
    fitted = Fitted(lambda users: np.eye(6)[users], np.array([True, True, False]))
    scores = served(fitted, world)(np.array([2, 1]))
    assert scores.tolist() == [popularity(world).tolist(), np.eye(6)[1].tolist()]


def test_tuning_takes_the_setting_that_is_best_on_the_validation_slice_and_never_sees_the_test() -> None:
    world = tiny_world(NONE)
    split = split_last(world, TEST)
    validation = validation_of(split)
    hidden = set(zip(split.truth_user.tolist(), split.truth_item.tolist(), strict=True))

    def fit(train: Train, settings: object) -> Fitted:
        seen = train.world.rows
        assert not hidden & set(zip(seen.user.tolist(), seen.item.tolist(), strict=True))
        assert len(seen) == len(validation.train.rows)
        sign = settings["sign"]  # type: ignore[index]
        counts = sign * popularity(train.world)
        return Fitted(lambda users: np.tile(counts, (len(users), 1)), np.ones(train.world.n_users, bool))

    tuned = tune(Method("m", fit, [{"sign": -1}, {"sign": 1}]), split, no_texts, 1)
    assert tuned.settings == {"sign": 1}
    assert [settings for settings, _ in tuned.tried] == [{"sign": -1}, {"sign": 1}]


def test_ours_learns_the_topics_of_the_tiny_world(tmp_path: Path) -> None:
    world = tiny_world(Encoder(model=str(tiny_encoder(tmp_path)), max_length=16))
    split = split_by_time(world, TEST)
    from benchmarks.quality.texts import texts_of

    train = Train(split.train, texts_of(split.train, 1, tmp_path / "cache"))
    mine, popular = (
        evaluate(served(method.fit(train, method.grid[0]), split.train), split)[OVERALL].means[1]
        for method in (ours("ours:epochs=8"), BASELINES["popularity"])
    )
    assert mine > 1.2 * popular


def test_a_training_is_shared_by_methods_that_ask_for_the_same_one_after_the_other() -> None:
    made: list[int] = []
    last_made: dict[str, object] = {}

    def asked(of: object) -> int:
        # Each method gets a Train of its own.
        train = Train(tiny_world(), pytest.fail, 1, last_made)
        return train.shared((of, "text"), lambda: made.append(len(made)) or made[-1])  # type: ignore[func-returns-value]

    assert [asked(of) for of in (Model(), Model(), Model(epochs=3), Model())] == [0, 0, 1, 2]
    assert made == [0, 1, 2]


def test_score_is_cosine_and_log_probability() -> None:
    rng = np.random.default_rng(0)
    x, y, theta, bias = rng.normal(size=(3, 4)), rng.normal(size=(7, 4)), rng.normal(size=(7, 4)), rng.normal(size=7)
    y_unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    boosts = (np.array([0, 2]), np.array([3, 6]), np.array([0.5, 4.0]))
    logits = x @ theta.T + bias
    logits[boosts[:2]] += boosts[2]
    logits /= 2.0
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cosine = (x @ y.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    score = Score(w_cos=0.5, w_ce=2.0, temperature=2.0)
    np.testing.assert_allclose(combined(x, y_unit, theta, bias, score, boosts), 0.5 * cosine + 2.0 * np.log(p))
    # A vector of length 0 has cosine 0.
    assert np.isfinite(combined(np.zeros((3, 4)), y_unit, theta, bias, score, boosts)).all()


def test_an_ingredient_that_is_taken_away_is_gone() -> None:
    world = tiny_world(NONE, n_users=10, n_items=10)
    texts = Texts(np.ones((10, 2), np.float32), np.ones(10, bool), np.ones((10, 2), np.float32), np.ones(10, bool))
    bare, blind = without(world, texts, dict.fromkeys(("text", "tags", "friends", "types"), 0))
    assert not blind.has_item.any()
    assert not blind.has_user.any()
    assert not len(bare.friends)
    assert set(undecayed(bare)) == {1.0}
    assert without(world, texts, {}) == (world, texts)


def test_the_push_of_cold_items_is_taken_back_whole() -> None:
    beta = np.array([0.5, 0.25, -3.0], np.float32)
    pushed = Artifact({"items.beta": beta, "other": beta}, facts(choices=Choices(cold_item_boost=1.5, w_cos=0.5)))
    plain = without_push(pushed)
    assert plain.tensors["items.beta"].tolist() == [0.5, 0.25, -4.5]
    assert plain.tensors["other"] is beta
    assert plain.facts == pushed.facts, "what the trial chose is what it chose"
    assert ours("ours:push=0").grid == [{"push": 0.0}]
    with pytest.raises(ValueError, match="push can be 0 only"):
        ours("ours:push=2")
