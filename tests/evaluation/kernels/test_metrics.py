"""Metrics against a plain Python oracle, and the Poisson bootstrap against theory and the multinomial bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.evaluation.kernels.bootstrap import MAX_ROWS, SCALE, poisson_weights, replicate_sums
from recsys_spark.evaluation.kernels.metrics import of_users, user_metrics


def one_user(listed: list[int], truth: set[int], k: int) -> list[float]:
    """The definitions, read off one list."""
    gains = [1.0 if item in truth else 0.0 for item in listed[:k]]
    most = min(k, len(truth))
    dcg = sum(gain / math.log2(position + 2) for position, gain in enumerate(gains))
    ideal = sum(1 / math.log2(position + 2) for position in range(most))
    first = next((position + 1 for position, gain in enumerate(gains) if gain), math.inf)
    return [sum(gains) / most, dcg / ideal, 1 / first, float(any(gains))]


users = st.tuples(st.permutations(range(12)).map(lambda p: p[:8]), st.sets(st.integers(0, 14), min_size=1))


@settings(max_examples=60, deadline=None)
@given(st.lists(users, min_size=1, max_size=6), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.randoms())
def test_metrics_equal_the_definitions_in_whatever_order_the_hits_come(people, ks, random) -> None:
    hits = [
        (user, position + 1)
        for user, (listed, truth) in enumerate(people)
        for position, item in enumerate(listed)
        if item in truth
    ]
    random.shuffle(hits)
    row, rank = np.array(hits, np.int64).reshape(-1, 2).T
    values = user_metrics(row, rank, np.array([len(truth) for _, truth in people]), ks)
    expected = [[one_user(list(listed), truth, k) for k in ks] for listed, truth in people]
    assert values.shape == (len(people), len(ks), len(of_users()))
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_perfect_list_scores_one_even_where_the_truth_is_longer_or_shorter_than_k() -> None:
    row, rank = np.array([0, 1, 1, 1]), np.array([1, 1, 2, 3])
    np.testing.assert_allclose(user_metrics(row, rank, np.array([1, 7]), [3]), np.ones((2, 1, len(of_users()))))


def test_user_without_hits_counts_zero_and_nothing_is_nan() -> None:
    none = np.array([], np.int64)
    assert user_metrics(none, none, np.array([3, 1]), [5, 10]).tolist() == np.zeros((2, 2, len(of_users()))).tolist()


def test_weight_of_a_user_depends_on_nothing_but_hash_and_replicate() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 50, np.uint64)
    together = poisson_weights(hashes, 101)
    alone = np.concatenate([poisson_weights(h[None], 101) for h in hashes])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(poisson_weights(hashes, 40), together[:, :40])


def test_weights_are_poisson_and_independent_between_users_and_replicates() -> None:
    # Neighbouring hashes are the hardest case for a counter-based generator.
    weights = poisson_weights(np.arange(2000, dtype=np.uint64), 400).astype(float)
    assert weights.mean() == pytest.approx(1, abs=0.006)
    assert weights.var() == pytest.approx(1, abs=0.01)
    shares = np.bincount(weights.astype(int).ravel(), minlength=5)[:5] / weights.size
    np.testing.assert_allclose(shares, [math.exp(-1) / math.factorial(n) for n in range(5)], atol=0.003)
    assert abs(np.corrcoef(weights[:-1].ravel(), weights[1:].ravel())[0, 1]) < 0.006
    assert abs(np.corrcoef(weights[:, :-1].ravel(), weights[:, 1:].ravel())[0, 1]) < 0.006


def test_sums_are_the_same_to_the_last_bit_however_users_are_split() -> None:
    rng = np.random.default_rng(2)
    n = MAX_ROWS + 77
    values, weights = rng.random((n, 3)), poisson_weights(rng.integers(0, 2**64, n, np.uint64), 20)
    whole = replicate_sums(values, weights)
    order = rng.permutation(n)
    pieces = sum(replicate_sums(values[part], weights[part]) for part in np.array_split(order, 9))
    np.testing.assert_array_equal(whole, pieces)
    exact = np.rint(values * SCALE).astype(np.int64)
    np.testing.assert_array_equal(whole[0], [n, *exact.sum(axis=0)])
    np.testing.assert_array_equal(whole[1:, 1:], weights.T.astype(np.int64) @ exact)
    np.testing.assert_array_equal(whole[1:, 0], weights.sum(axis=0, dtype=np.int64))


def poisson_interval(values: np.ndarray, hashes: np.ndarray, n_replicates: int) -> np.ndarray:
    sums = replicate_sums(values[:, None], poisson_weights(hashes, n_replicates))[1:]
    return np.percentile(sums[:, 1] / sums[:, 0] / SCALE, [2.5, 97.5])


def test_interval_agrees_with_the_plain_percentile_bootstrap() -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random(800) < 0.15, rng.random(800), 0.0)
    plain = np.percentile(values[rng.integers(0, 800, (4000, 800))].mean(axis=1), [2.5, 97.5])
    low, high = poisson_interval(values, rng.integers(0, 2**64, 800, np.uint64), 4000)
    width = plain[1] - plain[0]
    assert low == pytest.approx(plain[0], abs=0.06 * width)
    assert high == pytest.approx(plain[1], abs=0.06 * width)


def test_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(400):
        hits = (rng.random(300) < 0.2).astype(float)
        low, high = poisson_interval(hits, rng.integers(0, 2**64, 300, np.uint64), 300)
        covered += low <= 0.2 <= high
    assert 0.91 <= covered / 400 <= 0.98
