"""Reliability bins and their error against plain Python, and against data whose calibration is known."""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.evaluation.kernels.calibration import MIN_ROWS, N_BINS, chance, reliability


def oracle(rows: list[tuple[float, bool]], n_bins: int) -> list[tuple[int, float, float]]:
    """Count, mean probability and share of events of each bin, row by row."""
    n_bins = min(n_bins, max(1, len(rows) // MIN_ROWS))
    bins: dict[int, list[tuple[float, bool]]] = {}
    before = 0
    for _, equals in groupby(sorted(rows), key=lambda row: row[0]):
        some = list(equals)
        # The bins cut [0, n) into equal parts; the middle of the equal rows says which part they are in.
        at = next(b for b in range(n_bins) if (before + len(some) / 2) * n_bins < (b + 1) * len(rows))
        bins.setdefault(at, []).extend(some)
        before += len(some)
    return [
        (len(some), math.fsum(p for p, _ in some) / len(some), sum(event for _, event in some) / len(some))
        for some in bins.values()
    ]


few_values = st.sampled_from([0.0, 0.125, 0.25, 0.7, 1.0])
cases = st.lists(st.tuples(few_values | st.floats(0, 1), st.booleans()), max_size=80)


@settings(max_examples=40, deadline=None)
@given(cases, st.integers(1, 20), st.randoms())
def test_bins_are_those_of_the_definition_in_whatever_order_the_rows_come(rows, n_bins, random) -> None:
    expected = oracle(rows, n_bins)
    random.shuffle(rows)
    found = reliability([p for p, _ in rows], [event for _, event in rows], n_bins)
    assert found.count.tolist() == [count for count, _, _ in expected]
    np.testing.assert_allclose(found.predicted, [p for _, p, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(found.observed, [share for _, _, share in expected], rtol=1e-12)
    assert len(found.count) <= n_bins
    assert (np.diff(found.predicted) > 0).all()
    if not rows:
        assert math.isnan(found.ece)
        return
    assert found.ece == pytest.approx(sum(n * abs(share - p) for n, p, share in expected) / len(rows))
    assert found.gap == pytest.approx(sum(p - event for p, event in rows) / len(rows))
    # The triangle inequality: bins can only add to the error of the whole.
    assert abs(found.gap) - 1e-12 <= found.ece <= 1
    again = reliability([p for p, _ in sorted(rows)], [event for _, event in sorted(rows)], n_bins)
    assert again.ece == found.ece


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5.0), st.floats(0.5, 20.0))
def test_true_probabilities_have_a_small_error_and_too_sure_ones_a_large_one(seed, a, b) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(a, b, 20_000)
    happened = rng.random(len(p)) < p
    # By chance about 15 bins x sqrt(2 / pi x 0.25 / 1,333) at the most.
    assert reliability(p, happened).ece < 0.025
    sure = np.minimum(1.0, p + 0.2 * (1 - p))
    assert reliability(sure, happened).ece == pytest.approx((sure - p).mean(), abs=0.03)
    assert reliability(sure, happened).gap > 0
    assert reliability(p * 0.5, happened).gap < 0


@pytest.mark.parametrize("n", [150, 151, 10_000])
def test_distinct_probabilities_make_bins_of_equal_mass(n: int) -> None:
    found = reliability(np.random.default_rng(0).random(n), np.zeros(n, bool))
    assert len(found.count) == N_BINS
    assert np.ptp(found.count) <= 1


@pytest.mark.parametrize(("n", "n_bins"), [(1, 1), (19, 1), (20, 2), (149, 14)])
def test_few_rows_make_few_bins(n: int, n_bins: int) -> None:
    assert len(reliability(np.linspace(0, 1, n), np.ones(n, bool)).count) == n_bins


def test_equal_probabilities_share_a_bin_even_if_it_is_the_only_one() -> None:
    found = reliability(np.full(300, 0.3), np.arange(300) < 90)
    assert found.count.tolist() == [300]
    assert found.ece == pytest.approx(0.0, abs=1e-12)


def test_no_rows_make_no_bins_and_no_error() -> None:
    found, by_chance = reliability([], []), chance([])
    assert found.count.tolist() == by_chance.low.tolist() == by_chance.high.tolist() == []
    assert all(math.isnan(value) for value in (found.ece, found.gap, by_chance.ece, by_chance.ece_high))


@pytest.mark.parametrize(
    ("p", "happened", "n_bins", "said"),
    [
        ([0.1, np.nan], [True, False], 15, "1 of 2 probabilities not in .*nan"),
        ([0.1, 1.01], [True, False], 15, "such as 1.01"),
        ([-0.1], [True], 15, "such as -0.1"),
        ([0.1, 0.2], [True], 15, "shape"),
        ([[0.1]], [[True]], 15, "shape"),
        ([0.1, 0.2], [1, 0], 15, "expected bool"),
        ([0.1], [True], 0, "0 bins"),
    ],
)
def test_what_is_no_probability_or_no_event_is_refused(p, happened, n_bins, said) -> None:
    with pytest.raises(ValueError, match=said):
        reliability(p, happened, n_bins)


def test_chance_is_the_error_of_samples_of_a_calibrated_model() -> None:
    rng = np.random.default_rng(5)
    p = rng.beta(1, 9, 600)
    by_chance = chance(p)
    drawn = [reliability(p, rng.random(600) < p) for _ in range(200)]
    errors = np.array([one.ece for one in drawn])
    assert by_chance.ece == pytest.approx(errors.mean(), rel=0.05)
    assert (errors > by_chance.ece_high).mean() == pytest.approx(0.025, abs=0.025)
    inside = [((by_chance.low <= one.observed) & (one.observed <= by_chance.high)).mean() for one in drawn]
    assert np.mean(inside) > 0.93
    assert reliability(np.minimum(1, 2 * p), rng.random(600) < p).ece > by_chance.ece_high
    # The same whatever the order, and the less the more rows there are.
    assert chance(rng.permutation(p)).ece == by_chance.ece
    assert chance(np.tile(p, 25)).ece < 0.3 * by_chance.ece
