"""What all users share in one item block: items as the products want them, and how far a screened score can be off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from recsys_spark.numerics.arrays import F32, F64, I64
from recsys_spark.scoring.kernels.blocks import ItemBlock
from recsys_spark.scoring.kernels.precision import SINGLE, relative_error, rows_of, unit_rows_of
from recsys_spark.scoring.kernels.screening import SAMPLE_EVERY, guess_rank
from recsys_spark.scoring.kernels.shortlist import Rank

SAMPLE_FROM = 32
"""N from which guessing a bound from a sample pays for scoring the sample."""


@dataclass(frozen=True)
class Weights:
    """The weights of the combined rank. Without ``log_z`` the sum over the catalogue is left out, for ranking alone."""

    cosine: float = 1.0
    ce: float = 1.0
    temperature: float = 1.0
    log_z: bool = True


@dataclass(frozen=True)
class Columns:
    """Items as the products want them: ``theta`` and ``y_unit`` [w, d], ``bias`` and ``offset`` float32 [w] (see Tile).

    ``theta`` is float32 where log Z adds up its products, else of the screen's precision, as ``y_unit`` is.
    """

    theta: torch.Tensor
    y_unit: torch.Tensor
    bias: F32
    offset: F32

    def take(self, some: slice | I64) -> Columns:
        """Some of the items."""
        return Columns(self.theta[some], self.y_unit[some], self.bias[some], self.offset[some])


@dataclass(frozen=True)
class Prepared:
    """What all users share in one item block: the ranking weights and, where N is large, ``sampled`` columns."""

    items: ItemBlock
    rank: Rank
    columns: Columns
    sample: I64
    sampled: Columns
    place: int

    @staticmethod
    def of(items: ItemBlock, weights: Weights, n: int, screen: torch.dtype) -> Prepared:
        """Derive it for lists of ``n``."""
        rank = Rank(weights.cosine, weights.ce, 1 / weights.temperature, weights.log_z)
        offset = np.where(items.open, np.float32(rank.ce * rank.scale) * items.bias, np.float32(-np.inf))
        theta = rows_of(items.theta, SINGLE if rank.log_z else screen)
        y_unit = unit_rows_of(items.y, items.y_norm, screen)
        columns = Columns(theta, y_unit, items.bias, offset)
        sample = np.arange(0, items.size, SAMPLE_EVERY)
        place = guess_rank(n, len(sample), items.size)
        if n < SAMPLE_FROM or 8 * place > len(sample):
            sample = sample[:0]
        return Prepared(items, rank, columns, sample, columns.take(sample), place)

    def without_guess(self) -> Prepared:
        """For lists that have their log Z already and must not be guessed again."""
        none = self.sample[:0]
        return replace(self, sample=none, sampled=self.columns.take(none), rank=self.rank._replace(log_z=False))

    def rounding(self, x_norm: F64) -> F64:
        """What rounding can do to the difference of two screened scores, float64 [m], for users with |x| = ``x_norm``."""
        items, rank, width = self.items, self.rank, self.items.y.shape[1]
        reach = x_norm * items.theta_max.max()
        of_cosine, of_logit = (relative_error(rows.dtype, width) for rows in (self.columns.y_unit, self.columns.theta))
        relative = rank.cosine * of_cosine + rank.ce * rank.scale * (of_logit * reach + 2.0**-20 * items.bias_max.max())
        # Numbers too small to be normal may count as zero.
        tiny = width * 2.0**-124 * (rank.cosine + rank.ce * rank.scale * (1 + x_norm + items.theta_max.max()))
        of_both: F64 = 2 * (relative + tiny) + 1e-30
        return of_both
