"""Which items of a tile may belong to a user's N best: a float32 screen that never loses one.

A screen keeps, per user, a lower bound of the N-th best score. Whole groups of items whose maximum is below it are
skipped; the few others are kept as hits, to be decided in float64. No general top-k runs over full rows.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.kernels.blocks import ALIGN, F32, F64, I64

T = TypeVar("T", bound=np.generic)
LOWEST = np.finfo(np.float32).min
"""The bound of a user who has fewer than N items so far: everything passes but the excluded (-inf)."""


class Screen:
    """Hits of one chunk of users in one item block.

    ``bound`` float32 [m]: scores below it cannot be among the user's N best. ``slack`` float64 [m]: what rounding can
    do to the difference of two float32 scores of the user.
    """

    def __init__(self, n: int, slack: F64) -> None:
        self.n, self.slack = n, slack
        self.bound: F32 = np.full(len(slack), LOWEST, np.float32)
        self._best: F32 = np.full((len(slack), n), -np.inf, np.float32)
        self._rows: list[I64] = []
        self._positions: list[I64] = []
        self._scores: list[F32] = []
        self._fresh = 0  # lists of hits that the bound already reflects
        self.n_hits = 0

    def raise_bound(self, score: F64 | F32) -> None:
        """Note that user i has N items with at least ``score[i]`` [m]; -inf says nothing."""
        lowered = np.nextafter((score - self.slack).astype(np.float32), np.float32(-np.inf))
        np.maximum(self.bound, lowered, out=self.bound)

    def scan(self, scores: torch.Tensor, first: int) -> None:
        """Look for hits in a tile of float32 ``scores`` [m, w], w a multiple of ALIGN, of the items from ``first`` on."""
        m, width = scores.shape
        groups = scores.view(m, group_size(width, self.n), -1)
        maxima = groups.amax(1)
        n_groups = maxima.shape[1]
        if self.n_hits == 0 and n_groups >= self.n and (self.bound == LOWEST).any():
            # N groups hold N items at least as good as the N-th best group maximum.
            self.raise_bound(maxima.topk(self.n, dim=1).values[:, -1].numpy())
        row, group = np.divmod(np.flatnonzero(maxima.numpy() >= self.bound[:, None]), n_groups)
        if not len(row):
            return
        inside = groups.numpy()[row, :, group]
        hit, step = np.divmod(np.flatnonzero(inside >= self.bound[row, None]), inside.shape[1])
        if not len(hit):
            return
        self._rows.append(row[hit])
        self._positions.append(first + group[hit] + step * n_groups)
        self._scores.append(inside.reshape(-1)[hit * inside.shape[1] + step])
        self.n_hits += len(hit)
        if sum(map(len, self._rows[self._fresh :])) * 4 >= m * self.n:
            self._refresh()

    def _refresh(self) -> None:
        """Raise the bound by the hits found since the last time."""
        rows, scores = np.concatenate(self._rows[self._fresh :]), np.concatenate(self._scores[self._fresh :])
        table = padded(rows, scores, len(self.bound), self.n, fill=np.float32(-np.inf))
        table[:, : self.n] = self._best
        self._best = torch.from_numpy(table).topk(self.n, dim=1).values.numpy()
        self.raise_bound(self._best[:, -1])
        self._fresh = len(self._rows)

    def take(self) -> tuple[I64, I64]:
        """Return the hits still above the bound as (rows, positions), by row and position, and forget them."""
        if not self._rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows, positions = np.concatenate(self._rows), np.concatenate(self._positions)
        kept = np.concatenate(self._scores) >= self.bound[rows]
        rows, positions = rows[kept], positions[kept]
        order = np.argsort(rows << 40 | positions)
        self._rows, self._positions, self._scores, self._fresh, self.n_hits = [], [], [], 0, 0
        return rows[order], positions[order]


def group_size(width: int, n: int) -> int:
    """Items per group: the largest power of two up to 32 that leaves 2 N groups, so that N maxima bound well."""
    size = min(32, ALIGN)
    while size > 1 and width // size < 2 * n:
        size //= 2
    return size


def padded(rows: I64, values: NDArray[T], m: int, skip: int, fill: T) -> NDArray[T]:
    """Spread ragged values over [m, skip + longest]: row i holds its values, in order, from column ``skip`` on.

    >>> padded(np.array([1, 0, 1]), np.array([5.0, 6.0, 7.0]), 2, 0, np.float64(-1))
    array([[ 6., -1.],
           [ 5.,  7.]])
    """
    counts = np.bincount(rows, minlength=m)
    order = np.argsort(rows, kind="stable")
    slot = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((m, skip + int(counts.max(initial=0))), fill)
    table[rows[order], skip + slot] = values[order]
    return table
