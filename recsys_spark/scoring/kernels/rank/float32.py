"""The combined rank in float32: fast and inexact, to screen the items of a tile."""

from __future__ import annotations

import numpy as np

from recsys_spark.numerics.arrays import F32
from recsys_spark.numerics.instructions import widened
from recsys_spark.numerics.machine_code import FUSED, inlined
from recsys_spark.scoring.kernels.blocks import ItemBlock
from recsys_spark.scoring.kernels.rank import Rank


def offsets_of(items: ItemBlock, rank: Rank) -> F32:
    """Return what an item adds to the score of every user, float32 [n]: its bias, or -inf where nobody may get it."""
    return np.where(items.open, np.float32(rank.w_product) * items.bias, np.float32(-np.inf))


@inlined(FUSED)
def scores_into(scores: F32, products: F32, cosines: F32, offsets: F32, rank: Rank) -> None:
    """Write raw scores [w] of ``products`` theta . x, ``cosines`` and ``offsets_of`` the items.

    Products and cosines are float32, or the bits of bfloat16 as uint16.
    """
    w_product, w_cos = np.float32(rank.w_ce * rank.scale), np.float32(rank.w_cos)
    for j in range(len(scores)):
        scores[j] = w_product * widened(products[j]) + (w_cos * widened(cosines[j]) + offsets[j])
