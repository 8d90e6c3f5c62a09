"""Compiled loops against NumPy in float64."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from recsys_spark.numerics import instructions, loops
from recsys_spark.numerics.arrays import F32, Number
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.rank.float32 import scores_into


def test_exp_equals_float64_up_to_the_last_digits_of_float32() -> None:
    x = np.linspace(-86, 79, 100_000).astype(np.float32)
    out = np.empty_like(x)
    loops.exp_into(out, x, np.zeros_like(x), np.float32(1), np.float32(0))
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=1.5e-7)
    loops.exp_into(out, np.full_like(x, -np.inf), np.zeros_like(x), np.float32(1), np.float32(0))
    assert not out.any()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_nth_largest_equals_a_sort(data: st.DataObject) -> None:
    number = st.one_of(
        st.floats(-(2.0**127), 2.0**127, width=32),
        st.sampled_from([-np.inf, 0.0, 1.0, 1.0000001]).map(lambda v: float(np.float32(v))),
    )
    values = np.array(data.draw(st.lists(number, min_size=1, max_size=300)), np.float32)
    n = data.draw(st.integers(1, len(values)))
    assert loops.nth_largest(values, n) == np.sort(values)[-n]


def test_bits_say_which_values_reach_a_bound() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=200).astype(np.float32)
    values[70] = 0.5
    for at in (0, 5, 136):
        assert hits_of(values, at, np.float32(0.5)) == [k for k in range(at, at + 64) if values[k] >= 0.5]


@njit
def hits_of(values: F32, at: int, bound: Number) -> list[int]:
    bits = instructions.reaching(values, at, bound)
    found = []
    while bits != 0:
        found.append(at + instructions.lowest_bit(bits))
        bits &= bits - np.uint64(1)
    return found


def test_bits_of_bfloat16_are_widened_to_its_value() -> None:
    values = np.array([1.5, -2.0, 3e38, 0.0], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    out, zeros = np.empty(4, np.float32), np.zeros(4, np.float32)
    scores_into(out, halves, halves, zeros, Rank(w_cos=0.0))
    assert out.tolist() == (halves.astype(np.uint32) << 16).view(np.float32).tolist()
