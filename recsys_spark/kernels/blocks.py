"""Blocks of users and of items as the scoring kernel wants them: plain arrays, prepared once per pair of blocks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TILE = 2048
"""Items per step of the fold. Item blocks start at multiples of it, so that sums do not depend on the block size."""
ALIGN = 64
"""Item blocks are padded to a multiple of this many rows, so that groups divide every tile."""


@dataclass(frozen=True)
class UserBlock:
    """Users and what each of them must not get.

    ``x`` float32 [m, d]; ``norm`` float64 [m] = |x|; the excluded items of user i are the positions
    ``excluded[offsets[i]:offsets[i + 1]]`` in the catalogue, which is ordered by item_id.
    """

    x: F32
    norm: F64
    offsets: I64
    excluded: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Number of users."""
        return len(self.x)

    def rows(self, some: slice) -> UserBlock:
        """Some of the users, given by a slice with start and stop."""
        offsets = self.offsets[some.start : some.stop + 1]
        return UserBlock(self.x[some], self.norm[some], offsets - offsets[0], self.excluded[offsets[0] : offsets[-1]])


@dataclass(frozen=True)
class ItemBlock:
    """Items ``start .. start + size - 1`` of the catalogue ordered by item_id.

    Rows up to a multiple of ALIGN are padding: theta 0, bias -inf, and named in ``closed`` like the unavailable items,
    which count in log Z but are never chosen. ``y``, ``theta`` float32 [n, d]; ``bias`` float32 [n];
    ``y_unit`` = y / |y| float32, 0 where |y| = 0; ``y_norm`` float64 [n]; ``theta_max`` and ``bias_max`` float64
    [n_tiles]: largest |theta_j| and |b_j| in each tile.
    """

    start: int
    size: int
    y: F32
    theta: F32
    bias: F32
    closed: I64
    y_norm: F64
    y_unit: F32
    theta_max: F64
    bias_max: F64

    @property
    def tiles(self) -> list[slice]:
        """The block cut into tiles, padding included."""
        return [slice(low, min(low + TILE, len(self.y))) for low in range(0, len(self.y), TILE)]


def user_block(x: F32, offsets: I64 | None = None, excluded: NDArray[np.int32] | None = None) -> UserBlock:
    """Prepare users with vectors ``x`` [m, d] and their excluded positions as CSR (none by default)."""
    if offsets is None or excluded is None:
        offsets, excluded = np.zeros(len(x) + 1, np.int64), np.empty(0, np.int32)
    return UserBlock(x, row_norms(x), offsets, excluded)


def item_block(start: int, y: F32, theta: F32, bias: F32, available: NDArray[np.bool_]) -> ItemBlock:
    """Prepare items from unpadded arrays: ``y``, ``theta`` [n, d], ``bias``, ``available`` [n]."""
    size, width = y.shape
    y, theta, bias, closed = pad_items(y, theta, bias, available)
    y, theta = y.reshape(-1, width), theta.reshape(-1, width)
    return prepare_items(start, size, y=y, theta=theta, bias=bias, closed=closed)


def pad_items(y: F32, theta: F32, bias: F32, available: NDArray[np.bool_]) -> tuple[F32, F32, F32, I64]:
    """Pad ``y``, ``theta`` [n, d] and ``bias`` [n] to a multiple of ALIGN rows; also the closed rows' numbers."""
    size, missing = len(y), -len(y) % ALIGN
    rows = ((0, missing), (0, 0))
    closed = np.concatenate([np.flatnonzero(~available), np.arange(size, size + missing)])
    return np.pad(y, rows), np.pad(theta, rows), np.pad(bias, (0, missing), constant_values=-np.inf), closed


def prepare_items(start: int, size: int, *, y: F32, theta: F32, bias: F32, closed: I64) -> ItemBlock:
    """Derive what the kernel needs from padded arrays."""
    y_norm, theta_norm = row_norms(y), row_norms(theta)
    lows = np.arange(0, len(y), TILE)
    bias_size = np.where(np.isfinite(bias), np.abs(bias), 0).astype(np.float64)
    return ItemBlock(
        start, size, y, theta, bias, closed, y_norm, unit_rows(y, y_norm),
        np.maximum.reduceat(theta_norm, lows), np.maximum.reduceat(bias_size, lows),
    )  # fmt: skip


def row_norms(v: F32) -> F64:
    """Euclidean norms of the rows in float64, [n].

    >>> row_norms(np.array([[3, 4], [0, 0]], np.float32))
    array([5., 0.])
    """
    return np.concatenate(
        [np.zeros(0), *(np.sqrt((v[i : i + TILE].astype(np.float64) ** 2).sum(1)) for i in range(0, len(v), TILE))]
    )


def unit_rows(v: F32, norm: F64) -> F32:
    """Rows divided by their norms; a zero row stays zero.

    >>> unit_rows(np.array([[3, 4], [0, 0]], np.float32), np.array([5.0, 0.0]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
    unit = np.empty_like(v)
    for i in range(0, len(v), TILE):
        rows = slice(i, i + TILE)
        np.multiply(v[rows], inverse[rows, None], out=unit[rows], casting="same_kind")
    return unit


def _expect_read_only_arrays() -> None:
    """Torch warns once per process that it sees a read-only array; ours live in Arrow buffers and are only read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(np.frombuffer(bytes(4), np.float32))


_expect_read_only_arrays()
