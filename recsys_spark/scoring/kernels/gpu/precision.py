"""Float32 products of float32, float16 or bfloat16 vectors on any torch device, and bounds of their error."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from recsys_spark.numerics.arrays import F64
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.rank import Rank


def errors_of(users: UserBlock, items: ItemBlock, rank: Rank, dtype: torch.dtype) -> F64:
    """Return how far a score of the device can be from the exact one, float64 [m].

    Let u be the unit roundoff of ``dtype``: 2^-11 for float16, 2^-8 for bfloat16. Rounding two vectors changes their
    product by at most (2u + u^2) |a||b|, plus the loss of float16 below its smallest normal number. Summing it in
    float32 adds d * 2^-23 |a||b|, even where sums are cut off, not rounded (Higham, Accuracy and Stability, section
    3.1).

    With weights (0, 1) it bounds the error of every logit, and so the error of log Z, which is a smooth maximum of
    them. That is the worst case: for independent roundings the error is about u |x| max|theta| / sqrt(d).
    """
    d, kind = users.x.shape[1], torch.finfo(dtype)
    eps = max(kind.eps, 2.0**-23)
    inputs = eps + eps**2 / 4 + 4 * np.sqrt(d) * kind.smallest_normal * eps
    sums = (d + 8) * 2.0**-23
    reach = rank.w_product * users.norm * items.theta_max.max()
    cosine = rank.w_cos * (users.norm > 0)
    bias = rank.w_product * items.bias_max.max()
    errors: F64 = (inputs + sums) * (cosine + reach) + sums * bias + 1e-30
    return errors


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return ``a b^T`` [m, n] in float32, summed in float32 whatever the dtype of ``a`` [m, d] and ``b`` [n, d]."""
    if a.dtype == torch.float32:
        return torch.mm(a, b.T)
    if _has_wide_products(a.device, a.dtype):
        return torch.mm(a, b.T, out_dtype=torch.float32)
    return torch.mm(a.float(), b.T.float())


@lru_cache
def _has_wide_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the device multiplies ``dtype`` into float32: CUDA does from torch 2.8 on."""
    sample = torch.zeros(8, 8, dtype=dtype, device=device)
    try:
        torch.mm(sample, sample, out_dtype=torch.float32)
    except (RuntimeError, TypeError):
        return False
    return True
