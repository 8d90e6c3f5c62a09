"""Precision of the products that only screen items: bfloat16 where the processor multiplies it faster than float32.

A screen may be coarse, as long as a bound of its error is known: float64 decides between the items that it lets
through.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.numerics.arrays import F32, F64
from recsys_spark.numerics.unit_rows import rows_over_norms

SINGLE, HALF = torch.float32, torch.bfloat16
HALF_ROUNDOFF = 2.0**-8
PIECE = 65_536
"""Number of rows that are divided by their norms at a time."""


@cache
def fastest_screen() -> torch.dtype:
    """Return bfloat16 on processors with AVX512-BF16, which multiply it two to three times as fast, else float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return HALF if capabilities.get("avx512_bf16") else SINGLE


def relative_error(dtype: torch.dtype, width: int) -> float:
    """Return how far a product of vectors a, b of ``width`` can be from the exact one, in units of |a||b|.

    Sums in float32 are off by at most d * 2^-24 in whatever order (Higham, Accuracy and Stability, section 3.1); a
    factor of two covers the roundings around them. bfloat16 also rounds both vectors and the result.
    """
    sums = 2 * (width + 8) * 2.0**-24
    return sums if dtype == SINGLE else sums + (1 + HALF_ROUNDOFF) ** 3 - 1


def multiply(a: torch.Tensor, b: torch.Tensor, room: torch.Tensor) -> NDArray[Any]:
    """Return ``a b^T`` [m, n] in the memory of ``room`` [>= m n], float32 or the bits of bfloat16 as uint16.

    Fresh pages for every product would cost more than the product.
    """
    out = room[: len(a) * len(b)].view(len(a), len(b))
    torch.mm(a, b.T, out=out)
    return out.numpy() if out.dtype == SINGLE else out.view(torch.int16).numpy().view(np.uint16)


def rows_of(array: F32, dtype: torch.dtype, at_least: int = 0) -> torch.Tensor:
    """Return ``array`` [m, d] in ``dtype``, with rows of zeros up to ``at_least``; no copy where none is needed."""
    if len(array) < at_least:
        array = np.pad(array, ((0, at_least - len(array)), (0, 0)))
    return torch.from_numpy(array).to(dtype)


def unit_rows_of(array: F32, norm: F64, dtype: torch.dtype) -> torch.Tensor:
    """Return the rows divided by their norms, [m, d] in ``dtype``.

    It works a piece at a time, so that no other array of this size exists.
    """
    unit = torch.empty(array.shape, dtype=dtype)
    for low in range(0, len(array), PIECE):
        piece = slice(low, low + PIECE)
        unit[piece] = torch.from_numpy(rows_over_norms(array[piece], norm[piece]))
    return unit
