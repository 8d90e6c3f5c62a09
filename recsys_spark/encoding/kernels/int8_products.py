"""Exact products of int8 matrices: by the processor's own instructions, or by float32 where it has none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor

from recsys_spark.worker.cache import cached

log = logging.getLogger("recsys_spark")

EXACT_DEPTH = 1024
"""Products of int8 that float32 can add exactly: 128 * 127 * 1024 < 2^24."""


def exact_products(q: Tensor, w: Tensor, out: Tensor) -> None:
    """Compute ``out = q w`` int32 ``[t, n]`` of int8 ``[t, k]`` and ``[k, n]`` by float32 products, exactly."""
    for first in range(0, q.shape[1], EXACT_DEPTH):
        piece = slice(first, first + EXACT_DEPTH)
        product = torch.mm(q[:, piece].float(), w[piece].float())
        # Adding to an integer tensor would convert a second time.
        out.copy_(product) if first == 0 else out.add_(product.int())


def has_int8_products() -> bool:
    """Return whether torch multiplies int8 exactly and faster than float32 here; tried once per process.

    Where torch knows no instructions for it (only AVX2), a plain loop takes forty times as long. Both give the same
    bits, so the choice changes no result.
    """
    return cached("int8 products", _try_both)


def _try_both() -> bool:
    if not hasattr(torch, "_int_mm"):
        return False
    # Extreme values, for which a product that adds in 16 bits would be wrong.
    q, w = torch.full((64, 256), -128, dtype=torch.int8), torch.full((256, 256), 127, dtype=torch.int8)
    out, exact = torch.empty(64, 256, dtype=torch.int32), torch.empty(64, 256, dtype=torch.int32)

    def seconds(run: Callable[[], object]) -> float:
        run()
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            run()
            taken.append(time.perf_counter() - started)
        return min(taken)

    own = seconds(lambda: torch._int_mm(q, w, out=out))
    by_float32 = seconds(lambda: exact_products(q, w, exact))
    good = own <= by_float32 and torch.equal(out, exact)
    if not good:
        log.info("int8 products are computed in float32: torch has no instructions for them on this processor")
    return good
