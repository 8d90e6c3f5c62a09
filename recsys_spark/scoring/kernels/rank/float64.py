"""The combined rank in float64: exact, for the few items that the screen leaves.

The bits of a result depend on the vectors of the user and the item alone, never on what is computed next to them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys_spark.numerics.arrays import F32, F64, Number
from recsys_spark.numerics.machine_code import REORDERED, inlined
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.rank import Rank


class Pairs(NamedTuple):
    """Users and items of a pair of blocks: ``x`` [m, d] and ``x_norm`` [m], the other arrays [n, d] and [n]."""

    x: F32
    x_norm: F64
    y: F32
    y_norm: F64
    theta: F32
    bias: F32
    start: int


def pairs_of(users: UserBlock, items: ItemBlock) -> Pairs:
    """Return the arrays of two blocks that exact ranks need."""
    return Pairs(users.x, users.norm, items.y, items.y_norm, items.theta, items.bias, items.start)


@inlined(REORDERED)
def exact_products(x: F32, y: F32, theta: F32) -> tuple[float, float]:
    """Return (x . y, x . theta) of float32 vectors [d]."""
    dot = product = 0.0
    for k in range(len(x)):
        dot += np.float64(x[k]) * np.float64(y[k])
        product += np.float64(x[k]) * np.float64(theta[k])
    return dot, product


@inlined()
def exact_terms(i: int, j: int, pairs: Pairs, rank: Rank) -> tuple[float, float]:
    """Return (cosine, logit) of user i and item j of the blocks."""
    dot, product = exact_products(pairs.x[i], pairs.y[j], pairs.theta[j])
    norms = pairs.x_norm[i] * pairs.y_norm[j]
    cosine = min(1.0, max(-1.0, dot / norms)) if norms > 0 else 0.0
    return cosine, (product + np.float64(pairs.bias[j])) * rank.scale


@inlined()
def with_boost(logit: float, boost: Number, rank: Rank) -> float:
    """Return the logit after a boost, which is scaled as all of the logit is."""
    return logit + np.float64(boost) * rank.scale
