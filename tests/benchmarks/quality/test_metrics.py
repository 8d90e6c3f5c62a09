"""The quality benchmark's metrics against cases by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.metrics import (
    AMONG_COLD,
    COLD_IN_LIST,
    COLD_USERS,
    OVERALL,
    WARM,
    Values,
    evaluate,
    interval,
    paired_difference,
    ranks,
    replicate_means,
)
from benchmarks.quality.split import PROTOCOLS, TEST, split_last
from tests.benchmarks.quality.world import world_of


def test_equal_scores_are_ranked_by_item_id() -> None:
    scores = np.array([[1.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert ranks(scores, np.array([0, 0, 0, 1]), np.array([0, 3, 2, 3])).tolist() == [2, 4, 1, 4]
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (7, 50)).astype(float)
    row, item = np.divmod(np.arange(350), 50)
    lists = np.argsort(-scores, axis=1, kind="stable")
    assert (lists[row, ranks(scores, row, item) - 1] == item).all()


def test_segments_are_those_of_a_case_by_hand() -> None:
    # Train: u0 has i0, i1; u1 has i1. Cold: i2 to i5, and u2. The last tenth of 10 rows is the truth.
    early = [(0, 0, 0.0), (0, 1, 1.0), (1, 1, 2.0), *[(1, 1, 2.0)] * 15]
    late = [(0, 4, 9.0), (1, 0, 9.0)]
    split = PROTOCOLS["time"](world_of([*early, *late]), TEST)
    split = replace(
        split, truth_user=np.array([0, 1, 1, 2]), truth_item=np.array([4, 0, 5, 1])
    )  # u2 never seen, i4 and i5 cold
    scores = np.array([[0.5, 0.9, 0.6, 0.8, 0.9, 0.9], [0.5, 0.9, 0.6, 0.2, 0.7, 0.1], [0.1, 0.9, 0.6, 0.2, 0.7, 0.1]])
    values = evaluate(lambda users: scores[users], split)
    log2 = np.log2
    # u0, without i0 and i1: i4 first, by its id. u1, without i1: i4, i2, i0 (3rd), i3, i5 (5th). u2: i1 first.
    both = (1 / log2(4) + 1 / log2(6)) / (1 + 1 / log2(3))
    assert values[OVERALL].users.tolist() == [0, 1]
    np.testing.assert_allclose(values[OVERALL].values, [[1, 1], [1, both]])
    np.testing.assert_allclose(values[WARM].values, [[1, 1 / log2(4)]])
    np.testing.assert_allclose(values[COLD_IN_LIST].values, [[1, 1], [1, 1 / log2(6)]])
    # Among the cold i4, i2, i3, i5: fourth.
    np.testing.assert_allclose(values[AMONG_COLD].values, [[1, 1], [1, 1 / log2(5)]])
    np.testing.assert_allclose(values[COLD_USERS].values, [[1, 1]])


def test_recall_divides_by_ten_at_most_and_hits_beyond_ten_count_nothing() -> None:
    n = 15
    split = replace(
        split_last(world_of([(0, 0, 1.0), (0, 1, 2.0)], 1, 40), TEST),
        truth_user=np.zeros(n, np.int64),
        truth_item=np.arange(5, 5 + n),
    )
    descending = -np.arange(40.0)
    values = evaluate(lambda users: np.tile(descending, (len(users), 1)), split)
    # Ranked: i1 .. i4 (i0 is seen), then i5 .. i10 on ranks 5 to 10: six hits of ten.
    assert values[OVERALL].values[0, 0] == pytest.approx(0.6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    split = split_last(world_of([(0, 0, 1.0), (0, 1, 2.0)], 1), TEST)
    with pytest.raises(ValueError, match="finite"):
        evaluate(lambda users: np.full((len(users), 6), bad), split)


def test_intervals_cover_and_a_paired_difference_is_narrower_than_two_apart() -> None:
    rng = np.random.default_rng(3)
    ids = np.array([f"u{number}" for number in range(2_000)], object)
    hard = rng.random((2_000, 2))
    one, other = Values(np.arange(2_000), hard), Values(np.arange(2_000), np.clip(hard - 0.02, 0, 1))
    low, high = interval(replicate_means(one, ids))
    error = hard.std(0) / np.sqrt(2_000)
    np.testing.assert_allclose(high - low, 2 * 1.96 * error, rtol=0.12)
    assert ((low < hard.mean(0)) & (hard.mean(0) < high)).all()
    mean, low, high = paired_difference(one, other, ids)
    assert (low > 0.018).all()
    assert (low < mean).all()
    assert (high - low < 0.1 * error).all()
    with pytest.raises(ValueError, match="not of one split"):
        paired_difference(one, Values(np.arange(5), hard[:5]), ids)
