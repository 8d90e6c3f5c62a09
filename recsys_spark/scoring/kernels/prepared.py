"""What all users share in one item block: the items for the products, and the error of a screened score."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from recsys_spark.numerics.arrays import F32, F64, I64
from recsys_spark.scoring.kernels.blocks import ItemBlock
from recsys_spark.scoring.kernels.precision import SINGLE, relative_error, rows_of, unit_rows_of
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.rank.float32 import offsets_of
from recsys_spark.scoring.kernels.screening import SAMPLE_EVERY, guess_rank

SAMPLE_FROM = 32
"""From this N on, a bound guessed from a sample saves more than scoring the sample costs."""


@dataclass(frozen=True)
class Columns:
    """Items for the products: ``theta`` and ``y_unit`` [w, d], ``bias`` and ``offset`` float32 [w] (see Tile).

    ``y_unit`` has the precision of the screen. So has ``theta``, unless log Z adds up its products: then it is float32.
    """

    theta: torch.Tensor
    y_unit: torch.Tensor
    bias: F32
    offset: F32

    def take(self, some: slice | I64) -> Columns:
        """Return some of the items."""
        return Columns(self.theta[some], self.y_unit[some], self.bias[some], self.offset[some])


@dataclass(frozen=True)
class Prepared:
    """What all users share in one item block: the weights of the rank and, where N is large, ``sampled`` columns."""

    items: ItemBlock
    rank: Rank
    columns: Columns
    sample: I64
    sampled: Columns
    place: int

    @staticmethod
    def of(items: ItemBlock, rank: Rank, n: int, screen: torch.dtype) -> Prepared:
        """Return what lists of ``n`` need."""
        theta = rows_of(items.theta, SINGLE if rank.log_z else screen)
        y_unit = unit_rows_of(items.y, items.y_norm, screen)
        columns = Columns(theta, y_unit, items.bias, offsets_of(items, rank))
        sample = np.arange(0, items.size, SAMPLE_EVERY)
        place = guess_rank(n, len(sample), items.size)
        if n < SAMPLE_FROM or 8 * place > len(sample):
            sample = sample[:0]
        return Prepared(items, rank, columns, sample, columns.take(sample), place)

    def without_guess(self) -> Prepared:
        """Return the same without a guess and without log Z, for users whose guess was wrong."""
        none = self.sample[:0]
        return replace(self, sample=none, sampled=self.columns.take(none), rank=self.rank._replace(log_z=False))

    def rounding(self, x_norm: F64) -> F64:
        """Return how far rounding can move the difference of two screened scores, float64 [m].

        ``x_norm`` [m] is |x| of the users.
        """
        items, rank, width = self.items, self.rank, self.items.y.shape[1]
        reach = x_norm * items.theta_max.max()
        of_cosine, of_logit = (relative_error(rows.dtype, width) for rows in (self.columns.y_unit, self.columns.theta))
        relative = rank.w_cos * of_cosine + rank.w_product * (of_logit * reach + 2.0**-20 * items.bias_max.max())
        # Numbers too small to be normal may count as zero.
        tiny = width * 2.0**-124 * (rank.w_cos + rank.w_product * (1 + x_norm + items.theta_max.max()))
        of_both: F64 = 2 * (relative + tiny) + 1e-30
        return of_both
