"""Products in float32 of vectors in float32, float16 or bfloat16, on any torch device, and how far they can be off."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from recsys_spark.numerics.arrays import F64
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.shortlist import Rank


def errors_of(users: UserBlock, items: ItemBlock, rank: Rank, dtype: torch.dtype) -> F64:
    """How far a score of the device can be from the exact one, float64 [m].

    With u the unit roundoff of ``dtype`` (2^-11 for float16, 2^-8 for bfloat16) rounding two vectors changes their product by
    at most (2u + u^2) |a||b|, plus what float16 loses below its smallest normal number; summing it in float32 adds
    d * 2^-23 |a||b| even where sums are cut off, not rounded (Higham, Accuracy and Stability, section 3.1).

    With weights (0, 1) it bounds the error of every logit, and so that of log Z, a smooth maximum of them. That is the worst
    case: for independent roundings the error is about u |x| max|theta| / sqrt(d).
    """
    d, kind = users.x.shape[1], torch.finfo(dtype)
    eps = max(kind.eps, 2.0**-23)
    inputs = eps + eps**2 / 4 + 4 * np.sqrt(d) * kind.smallest_normal * eps
    sums = (d + 8) * 2.0**-23
    reach = rank.ce * rank.scale * users.norm * items.theta_max.max()
    cosine = rank.cosine * (users.norm > 0)
    bias = rank.ce * rank.scale * items.bias_max.max()
    errors: F64 = (inputs + sums) * (cosine + reach) + sums * bias + 1e-30
    return errors


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a b^T`` in float32, [m, n], summed in float32 whatever the dtype of ``a`` [m, d] and ``b`` [n, d]."""
    if a.dtype == torch.float32:
        return torch.mm(a, b.T)
    if _has_wide_products(a.device, a.dtype):
        return torch.mm(a, b.T, out_dtype=torch.float32)
    return torch.mm(a.float(), b.T.float())


@lru_cache
def _has_wide_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the device multiplies ``dtype`` into float32: CUDA from torch 2.8 on."""
    sample = torch.zeros(8, 8, dtype=dtype, device=device)
    try:
        torch.mm(sample, sample, out_dtype=torch.float32)
    except (RuntimeError, TypeError):
        return False
    return True
