"""The compiled passes of the int8 transformer against float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.kernels import encoder_passes as passes
from recsys_spark.kernels.encoder_int8 import Int8Weights, Rows, quantised

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(1, 70))


def linear(k: int, n: int, seed: int) -> torch.nn.Linear:
    torch.manual_seed(seed)
    return torch.nn.Linear(k, n)


def rows_of(t: int, k: int, seed: int) -> np.ndarray:
    """Rows of quite different ranges, none of which is symmetric."""
    random = np.random.default_rng(seed)
    return (random.normal(2, 5, (t, k)) * 10.0 ** random.integers(-3, 3, (t, 1))).astype(np.float32)


def restored(rows: Rows) -> np.ndarray:
    return rows.middle[:, None].astype(np.float64) + rows.step[:, None].astype(np.float64) * rows.q


def product(rows: Rows, weights: Int8Weights) -> np.ndarray:
    """What the product stands for, in float64: restored activations times restored weights."""
    return restored(rows) @ (weights.w.double().numpy() * weights.steps) + weights.bias


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, atol=2e-6 * max(1.0, float(np.abs(expected).max())), rtol=1e-5)


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_a_row_is_restored_within_half_a_step_and_uses_all_levels(sizes: tuple[int, int, int], seed: int) -> None:
    t, k, _ = sizes
    x = rows_of(t, k, seed)
    rows = quantised(x, np.arange(t))
    assert (np.abs(restored(rows) - x) <= rows.step[:, None] * 0.5001 + 1e-6 * np.abs(x)).all()
    assert k == 1 or ((rows.q.min(1) == -128).all() and (rows.q.max(1) == 127).all())


@pytest.mark.parametrize("value", [0.0, -7.25, 3e-30, 1e30])
def test_a_constant_row_is_restored_exactly(value: float) -> None:
    rows = quantised(np.full((1, 5), value, np.float32), np.arange(1))
    np.testing.assert_array_equal(restored(rows), np.full((1, 5), np.float32(value), np.float64))


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_products_are_those_of_the_restored_numbers_at_their_places(sizes: tuple[int, int, int], seed: int) -> None:
    t, k, n = sizes
    weights, x = Int8Weights.of(linear(k, n, seed)), rows_of(t, k, seed)
    from_places, to_places = np.random.default_rng(seed).permutation(t), np.arange(0, 2 * t, 2)
    rows = quantised(x, from_places)
    np.testing.assert_array_equal(rows.q, quantised(np.ascontiguousarray(x[from_places]), np.arange(t)).q)
    out = np.zeros((2 * t, n), np.float32)
    passes.product_rows(weights.product(rows), rows.step, rows.middle, *weights.terms, to_places, out)
    close(out[to_places], product(rows, weights))
    assert not out[1::2].any()


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_gelu_of_a_product_is_quantised(sizes: tuple[int, int, int], seed: int) -> None:
    t, k, n = sizes
    weights, rows = Int8Weights.of(linear(k, n, seed)), quantised(rows_of(t, k, seed), np.arange(t))
    result = Rows.empty(t, n)
    passes.gelu_rows(weights.product(rows), rows.step, rows.middle, *weights.terms, *result)
    expected = torch.nn.functional.gelu(torch.from_numpy(product(rows, weights))).numpy()
    slack = 1e-5 * np.abs(expected).max(1, keepdims=True) + 2e-6
    assert (np.abs(restored(result) - expected) <= result.step[:, None] * 0.51 + slack).all()


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_a_product_is_added_normed_and_quantised(sizes: tuple[int, int, int], seed: int) -> None:
    t, k, n = sizes
    random = np.random.default_rng(seed)
    weights, rows = (
        Int8Weights.of(linear(k, n, seed)),
        quantised(random.normal(1, 2, (t, k)).astype("f4"), np.arange(t)),
    )
    x, gain, shift = (random.normal(0, 1, size).astype(np.float32) for size in ((t, n), n, n))
    expected = torch.nn.functional.layer_norm(
        torch.from_numpy(x + product(rows, weights)), (n,), torch.from_numpy(gain).double(), torch.from_numpy(shift).double(), 1e-5
    ).numpy()  # fmt: skip
    result = Rows.empty(t, n)
    terms = (weights.product(rows), rows.step, rows.middle, *weights.terms)
    passes.norm_rows(*terms, gain, shift, np.float32(1e-5), x, *result)
    np.testing.assert_allclose(x, expected, atol=2e-4, rtol=1e-3)
    np.testing.assert_array_equal(result.q, quantised(x, np.arange(t)).q)
    assert (np.abs(restored(result) - x) <= result.step[:, None] * 0.51 + 1e-6).all()


def test_gelu_is_that_of_the_error_function() -> None:
    x = np.concatenate([np.linspace(-9, 9, 40_001), [-1e30, -50, 0, 50, 1e30]]).astype(np.float32)
    found = x.copy()
    passes.gelu_row(found)
    expected = [0.5 * value * math.erfc(-value / math.sqrt(2)) for value in x.astype(float)]
    np.testing.assert_allclose(found, expected, atol=1.1e-6, rtol=1e-6)
