"""Blocks of users and of items: the plain arrays that the scoring kernel reads, prepared once per pair of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys_spark.numerics.arrays import F32, F64, I32, I64, Bools
from recsys_spark.numerics.unit_rows import row_norms
from recsys_spark.scoring.kernels.sizes import TILE

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class UserBlock:
    """Users and the items that each of them must not get.

    ``x`` float32 [m, d]; ``norm`` float64 [m] = |x|. The items that user i must not get are
    ``excluded[offsets[i]:offsets[i + 1]]``, ascending positions in the catalogue, which is ordered by item_id.
    """

    x: F32
    norm: F64
    offsets: I64
    excluded: I32

    @property
    def size(self) -> int:
        """Return the number of users."""
        return len(self.x)

    def rows(self, some: slice) -> UserBlock:
        """Return the users of a slice that has start and stop."""
        offsets = self.offsets[some.start : some.stop + 1]
        return UserBlock(self.x[some], self.norm[some], offsets - offsets[0], self.excluded[offsets[0] : offsets[-1]])

    def take(self, some: I64) -> UserBlock:
        """Return the users of these row numbers."""
        lengths = np.diff(self.offsets)[some]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.offsets[some] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return UserBlock(frozen(self.x[some]), frozen(self.norm[some]), offsets, self.excluded[places])


@dataclass(frozen=True)
class ItemBlock:
    """Items ``start .. start + size - 1`` of the catalogue ordered by item_id.

    ``y``, ``theta`` float32 [n, d]; ``bias`` float32 [n]; ``y_norm`` float64 [n] = |y|. ``open`` bool [n]: items that
    may be chosen; the others count in log Z only. ``theta_max``, ``bias_max`` float64 [n_tiles]: largest |theta_j| and
    |b_j| of each tile. ``links`` int32 [n]: the numbers by which users' boosts name the items, -1 for none.
    """

    start: int
    y: F32
    theta: F32
    bias: F32
    open: Bools
    y_norm: F64
    theta_max: F64
    bias_max: F64
    links: I32

    @property
    def size(self) -> int:
        """Return the number of items."""
        return len(self.y)

    @property
    def tiles(self) -> list[tuple[int, int]]:
        """Return the columns [low, high) of each tile."""
        return [(low, min(low + TILE, self.size)) for low in range(0, self.size, TILE)]


def user_block(x: F32, offsets: I64 | None = None, excluded: I32 | None = None) -> UserBlock:
    """Return a block of users with vectors ``x`` [m, d]; ``excluded`` positions are CSR, by default none."""
    if offsets is None or excluded is None:
        offsets, excluded = np.zeros(len(x) + 1, np.int64), np.empty(0, np.int32)
    x = frozen(x)
    return UserBlock(x, frozen(row_norms(x)), offsets, excluded)


def item_block(start: int, y: F32, theta: F32, bias: F32, available: Bools, links: I32 | None = None) -> ItemBlock:
    """Return a block of items; ``y``, ``theta`` [n, d]; ``bias``, ``available``, ``links`` [n], by default no links."""
    y, theta, bias = frozen(y), frozen(theta), frozen(bias)
    y_norm, theta_norm = frozen(row_norms(y)), frozen(row_norms(theta))
    lows = np.arange(0, len(y), TILE)
    theta_max = np.maximum.reduceat(theta_norm, lows)
    bias_max = np.maximum.reduceat(np.abs(bias.astype(np.float64)), lows)
    links = np.full(len(y), -1, np.int32) if links is None else links
    return ItemBlock(start, y, theta, bias, available, y_norm, theta_max, bias_max, links)


def frozen(array: NDArray[T]) -> NDArray[T]:
    """Return a contiguous read-only view, like arrays from Arrow: code is compiled once for each kind of array."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
