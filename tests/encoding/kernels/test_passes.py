"""The compiled passes between a transformer's products against float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.encoding.kernels import int8, passes
from recsys_spark.encoding.kernels.int8 import Int8Weights, Rows, quantised
from recsys_spark.encoding.kernels.int8_products import exact_products
from recsys_spark.encoding.kernels.scratch import Scratch

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
    rows = quantised(x)
    assert (np.abs(restored(rows) - x) <= rows.step[:, None] * 0.5001 + 1e-6 * np.abs(x)).all()
    assert k == 1 or ((rows.q.min(1) == -128).all() and (rows.q.max(1) == 127).all())


@pytest.mark.parametrize("value", [0.0, -7.25, 3e-30, 1e30])
def test_a_constant_row_is_restored_exactly(value: float) -> None:
    rows = quantised(np.full((1, 5), value, np.float32))
    np.testing.assert_array_equal(restored(rows), np.full((1, 5), np.float32(value), np.float64))


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_products_equal_products_of_the_restored_numbers(sizes: tuple[int, int, int], seed: int) -> None:
    t, k, n = sizes
    weights, rows = Int8Weights.of(linear(k, n, seed)), quantised(rows_of(t, k, seed))
    close(weights.applied(rows, np.empty((t, n), np.float32), Scratch()), product(rows, weights))


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_gelu_of_a_product_is_quantised(sizes: tuple[int, int, int], seed: int) -> None:
    t, k, n = sizes
    weights, rows = Int8Weights.of(linear(k, n, seed)), quantised(rows_of(t, k, seed))
    result = Rows.empty(t, n)
    passes.gelu_rows(*weights.product(rows, Scratch()), *result, 0, t)
    expected = torch.nn.functional.gelu(torch.from_numpy(product(rows, weights))).numpy()
    slack = 1e-5 * np.abs(expected).max(1, keepdims=True) + 2e-6
    assert (np.abs(restored(result) - expected) <= result.step[:, None] * 0.51 + slack).all()


def added_and_normed(x: np.ndarray, product: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
    wide = [torch.from_numpy(array).double() for array in (x + product, gain, shift)]
    return torch.nn.functional.layer_norm(wide[0], gain.shape, wide[1], wide[2], 1e-5).numpy()


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99), n_done=st.integers(0, 9))
def test_a_product_is_added_and_normed_only_in_the_given_rows(
    sizes: tuple[int, int, int], seed: int, n_done: int
) -> None:
    t, k, n = sizes
    random = np.random.default_rng(seed)
    weights, rows = Int8Weights.of(linear(k, n, seed)), quantised(random.normal(1, 2, (t, k)).astype("f4"))
    x, gain, shift = (random.normal(0, 1, size).astype(np.float32) for size in ((t, n), n, n))
    stop = min(n_done, t)
    expected = np.concatenate([added_and_normed(x, product(rows, weights), gain, shift)[:stop], x[stop:]])
    passes.norm_rows(*weights.product(rows, Scratch()), gain, shift, np.float32(1e-5), x, 0, stop)
    np.testing.assert_allclose(x, expected, atol=2e-4, rtol=1e-3)


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 99))
def test_float32_passes_add_the_bias_that_the_product_lacks(sizes: tuple[int, int, int], seed: int) -> None:
    t, _, n = sizes
    random = np.random.default_rng(seed)
    x, rows, bias, gain, shift = (random.normal(0, 2, s).astype("f4") for s in ((t, n), (t, n), n, n, n))
    expected = added_and_normed(x, rows + bias, gain, shift)
    wide = rows.copy()
    passes.bias_norm_rows(rows.copy(), bias, gain, shift, np.float32(1e-5), x, 0, t)
    np.testing.assert_allclose(x, expected, atol=2e-4, rtol=1e-3)
    passes.bias_gelu_rows(wide, bias, 0, t)
    np.testing.assert_allclose(wide, torch.nn.functional.gelu(torch.from_numpy(rows + bias)).numpy(), atol=2e-6)


@pytest.mark.parametrize("k", [1, 700, 1024, 1025, 3072])
def test_products_by_float32_equal_integer_products_at_any_depth(k: int) -> None:
    random = np.random.default_rng(k)
    q, w = (torch.from_numpy(random.integers(100, 128, size).astype(np.int8)) for size in ((5, k), (k, 7)))
    out = torch.empty(5, 7, dtype=torch.int32)
    exact_products(q, w, out)
    np.testing.assert_array_equal(out.numpy(), q.numpy().astype(np.int64) @ w.numpy().astype(np.int64))
    np.testing.assert_array_equal(out.numpy(), torch._int_mm(q, w).numpy())


@pytest.mark.parametrize("fast", [True, False])
def test_the_kind_of_product_changes_no_bit(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, rows = Int8Weights.of(linear(40, 9, 1)), quantised(rows_of(6, 40, 1))
    usual = weights.product(rows, Scratch()).acc.copy()
    monkeypatch.setattr(int8, "has_int8_products", lambda: fast)
    np.testing.assert_array_equal(weights.product(rows, Scratch()).acc, usual)


def test_gelu_equals_the_error_function() -> None:
    x = np.concatenate([np.linspace(-9, 9, 40_001), [-1e30, -50, 0, 50, 1e30]]).astype(np.float32)
    found = x.copy()
    passes.gelu_row(found)
    expected = [0.5 * value * math.erfc(-value / math.sqrt(2)) for value in x.astype(float)]
    np.testing.assert_allclose(found, expected, atol=1.1e-6, rtol=1e-6)
