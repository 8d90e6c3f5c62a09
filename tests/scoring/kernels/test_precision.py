"""A screen's error bound holds, and is not so wide that it would screen nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.scoring.kernels import precision
from recsys_spark.scoring.kernels.precision import HALF, SINGLE, fastest_screen, multiply, relative_error, rows_of


def products(a: np.ndarray, b: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    made = multiply(rows_of(a, dtype), rows_of(b, dtype), torch.empty(len(a) * len(b) + 3, dtype=dtype))
    return made if dtype == SINGLE else (made.astype(np.uint32) << 16).view(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([SINGLE, HALF]))
def test_no_product_is_off_by_more_than_the_bound(data: st.DataObject, dtype: torch.dtype) -> None:
    width = data.draw(st.sampled_from([1, 7, 64, 384]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    # A few large coordinates, as sentence encoders have them, and numbers that round the worst way.
    a, b = (rng.normal(size=(20, width)) * rng.choice([1, 1, 30], width) for _ in range(2))
    if data.draw(st.booleans()):
        a, b = (np.abs(v) + 1.00390624 for v in (a, b))
    a, b = a.astype(np.float32), b.astype(np.float32)
    exact = a.astype(np.float64) @ b.T.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    off = np.abs(products(a, b, dtype) - exact) / lengths
    assert off.max() <= relative_error(dtype, width)


def test_the_bound_of_bfloat16_is_within_ten_times_what_happens() -> None:
    a = np.full((1, 8), 1.0039, np.float32)  # every coordinate rounds the same way, by almost half a unit
    off = abs(products(a, a, HALF)[0, 0] / (a.astype(np.float64) ** 2).sum() - 1)
    assert relative_error(HALF, 8) / 10 < off <= relative_error(HALF, 8)


def test_rows_are_filled_up_with_zeros() -> None:
    rows = rows_of(np.ones((2, 3), np.float32), HALF, 4)
    assert rows.tolist() == [[1, 1, 1]] * 2 + [[0, 0, 0]] * 2


@pytest.mark.parametrize(("capabilities", "want"), [({"avx512_bf16": True}, HALF), ({"avx512_bf16": False}, SINGLE)])
def test_bfloat16_is_for_processors_that_multiply_it(
    capabilities: dict[str, bool], want: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert precision.fastest_screen.__wrapped__() == want


def test_a_torch_that_does_not_say_screens_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert fastest_screen.__wrapped__() == SINGLE
