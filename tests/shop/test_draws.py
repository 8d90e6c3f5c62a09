"""Draws: stateless, even, and one to one where they say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.shop.draws import integers, scramble, uniform, zipf_rank


def test_a_draw_depends_on_seed_stream_and_id_only():
    ids = np.arange(1000)
    whole = uniform(7, "a", ids)
    assert np.array_equal(whole[500:], uniform(7, "a", ids[500:]))
    assert not np.array_equal(whole, uniform(8, "a", ids))
    assert not np.array_equal(whole, uniform(7, "b", ids))


def test_draws_are_even_and_uncorrelated_between_streams():
    ids = np.arange(100_000)
    a, b = uniform(7, "a", ids), uniform(7, "b", ids)
    assert np.histogram(a, bins=10, range=(0, 1))[0] == pytest.approx(10_000, rel=0.05)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.01
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.01


@given(st.integers(1, 500), st.integers(0, 2**31))
def test_integers_stay_below_n(n: int, seed: int):
    drawn = integers(seed, "x", np.arange(50), n)
    assert ((drawn >= 0) & (drawn < n)).all()


def test_zipf_ranks_follow_the_power_law():
    n, exponent, shift = 50, 1.3, 2.0
    ranks = zipf_rank(uniform(1, "z", np.arange(400_000)), n, exponent, shift)
    edges = (np.arange(n + 1) + shift) ** (1 - exponent)
    expected = np.diff(edges) / (edges[-1] - edges[0])
    assert np.bincount(ranks, minlength=n) / len(ranks) == pytest.approx(expected, abs=0.003)


@given(st.integers(1, 2000))
def test_scramble_is_one_to_one(n: int):
    assert sorted(scramble(np.arange(n), n).tolist()) == list(range(n))
