"""Attention without padding against torch's in float64, text by text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.encoding.kernels import attention
from recsys_spark.encoding.kernels.attention import attend
from recsys_spark.encoding.kernels.threads import LEAST_ROWS, in_parts


def case(lengths: list[int], n_heads: int, width: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(sum(lengths))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return (random.normal(0, spread, (starts[-1], 3 * n_heads * width))).astype(np.float32), starts


def expected(qkv: np.ndarray, starts: np.ndarray, n_heads: int) -> np.ndarray:
    texts = []
    for first, stop in pairwise(starts):
        q, k, v = torch.from_numpy(qkv[first:stop]).double().view(stop - first, 3, n_heads, -1).permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1)
        texts.append((weights @ v).transpose(0, 1).reshape(stop - first, -1).numpy())
    return np.concatenate(texts)


def check(lengths: list[int], n_heads: int, width: int) -> None:
    qkv, starts = case(lengths, n_heads, width)
    out = np.full((len(qkv), n_heads * width), np.nan, np.float32)
    assert attend(qkv, starts, n_heads, out) is out
    np.testing.assert_allclose(out, expected(qkv, starts, n_heads), atol=3e-6, rtol=2e-5)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    n_heads=st.integers(1, 3),
    width=st.sampled_from([16, 32, 64, 5, 24]),
)
def test_each_text_attends_to_itself_alone(lengths: list[int], n_heads: int, width: int) -> None:
    check(lengths, n_heads, width)


@pytest.mark.parametrize("edge", [-1, 0, 1])
def test_long_and_short_texts_share_a_batch(edge: int) -> None:
    check([3, attention.SHORT + edge, 1, 2 * attention.SHORT, 17], 2, 32)


def test_scores_far_apart_neither_overflow_nor_lose_the_highest() -> None:
    # A score of 1e4 is known to 1e-3 in float32, and so are its weights.
    qkv, starts = case([9, 20], 2, 32, spread=40.0)
    out = attend(qkv, starts, 2, np.empty((29, 64), np.float32))
    np.testing.assert_allclose(out, expected(qkv, starts, 2), atol=0.05)


def test_a_value_that_is_not_finite_stays_in_its_text() -> None:
    qkv, starts = case([5, 7, 4], 2, 32)
    qkv[6, 3] = np.nan
    out = attend(qkv, starts, 2, np.zeros((16, 64), np.float32))
    assert np.isnan(out[5:12]).any()
    assert np.isfinite(out[:5]).all()
    assert np.isfinite(out[12:]).all()


@pytest.mark.parametrize("n_rows", [0, 1, LEAST_ROWS, 5 * LEAST_ROWS + 3])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_parts_cover_every_row_once(n_rows: int, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    parts: list[tuple[int, int]] = []
    in_parts(n_rows, lambda first, stop: parts.append((first, stop)))
    assert len(parts) == max(1, min(n_threads, n_rows // LEAST_ROWS))
    assert sorted(row for first, stop in parts for row in range(first, stop)) == list(range(n_rows))


def test_an_error_in_a_part_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def fail_later(first: int, _: int) -> None:
        if first:
            raise ValueError("second part")

    with pytest.raises(ValueError, match="second part"):
        in_parts(2 * LEAST_ROWS, fail_later)
