"""The fold of ``topn`` on a GPU, or any torch device: the same lists, screened with products of a chosen precision.

For each user chunk and item tile, products of float32, float16 or bfloat16 inputs, summed in float32, give float32
scores. The K best of each user, more than the N wanted, stay on the device until all tiles are done. The host decides
between these in float64, as ``topn`` does. Where the K-th score of a user is so close to the N-th best that rounding
may have cost an item, ``topn`` folds that user again. So the list equals the list of a float64 brute force for any
precision and any K: both only move work between device and host.

Only log Z keeps the error of the products, because it sums them. ``errors_of`` bounds it. For |x| |theta| = 12, 384
dimensions and 40,000 items it was 1e-4 on average and 5e-4 at most in float16, and about eight times as much in
bfloat16. Where every digit of log_prob counts, use float32: its log Z is as exact as in ``topn``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch

from recsys_spark.numerics.arrays import F32, F64, I32, I64
from recsys_spark.numerics.full_precision import full_precision
from recsys_spark.numerics.unit_rows import rows_over_norms
from recsys_spark.scoring.kernels import topn
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.gpu.blocks import DeviceItems, exponent_of, load, memory_of, resident, to_device
from recsys_spark.scoring.kernels.gpu.precision import errors_of, product
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.rank.float64 import pairs_of
from recsys_spark.scoring.kernels.rank.gpu import logits_of, scores_of
from recsys_spark.scoring.kernels.shortlist import Best, settle, shortlist_of
from recsys_spark.scoring.kernels.topn import State

CHUNK = 4096
"""Users per matrix product."""
WIDEST = 65_536
"""Items per matrix product at most: enough to occupy a GPU."""
CELL_BYTES = 20
"""Device memory per user and item of a tile: logits, cosines, and what exp and topk need besides."""


def fold_on_device(
    state: State,
    users: UserBlock,
    items: ItemBlock,
    rank: Rank,
    device: torch.device,
    dtype: torch.dtype,
    *,
    margin: int | None = None,
    memory_bytes: int | None = None,
    n_threads: int = 1,
) -> State:
    """Return the state after one more item block: the lists of ``topn.fold``, log Z to the accuracy of ``dtype``.

    ``margin``: items kept per user beyond N. ``memory_bytes``: how much of the device to use, by default most of the
    free memory. ``n_threads`` of the host decide in float64 while the device goes on. Bits of log Z depend on the
    device and on the sizes of the blocks. Raises DataError where vector widths differ or a logit exceeds float32.

    >>> from recsys_spark.scoring.kernels.blocks import item_block, user_block
    >>> y = np.array([[1, 0], [0, 1]], np.float32)
    >>> items = item_block(0, y, y, bias=np.zeros(2, np.float32), available=np.ones(2, bool))
    >>> users, cpu = user_block(np.array([[2, 0]], np.float32)), torch.device("cpu")
    >>> state = fold_on_device(topn.empty_state(1, 2), users, items, Rank(), cpu, torch.bfloat16)
    >>> state.position, state.raw, np.round(state.log_sum, 4)  # log(e^2 + e^0)
    (array([[0, 1]]), array([[3., 0.]]), array([2.1269]))
    """
    topn.check_widths(users, items)
    if not users.size or not items.size:
        return state
    topn.check_reach(users, items, rank)
    n, memory_bytes = state.position.shape[1], memory_bytes or memory_of(device)
    if margin is None:  # an item lost to rounding costs a whole row on the host, a spare one a float64 product
        margin = 32 if dtype == torch.float32 else n + 64
    held = resident(items, device, dtype, memory_bytes // 2)
    screen = Screen(items, held, rank, min(items.size, n + margin), device, dtype, memory_bytes)
    errors = errors_of(users, items, rank, dtype)
    after = state.copy()
    decisions = []
    step = -(-CHUNK // n_threads)
    with full_precision(), ThreadPoolExecutor(n_threads) as pool:
        for low in range(0, users.size, CHUNK):
            some = slice(low, min(low + CHUNK, users.size))
            found = screen.found(users.rows(some), after.rows(some))
            after.peak[some], after.total[some] = found.peak, found.total
            for first in range(low, some.stop, step):
                part, found_part = slice(first, min(first + step, some.stop)), slice(first - low, first - low + step)
                here = after.rows(part), users.rows(part), items, rank, found.rows(found_part), errors[part]
                decisions.append((first, pool.submit(decide, *here)))
    unsure = np.concatenate([first + job.result() for first, job in decisions])
    if len(unsure):
        without_log_z = rank._replace(log_z=False)
        again = topn.fold(state.rows(unsure), users.take(unsure), items, without_log_z, n_threads)
        for name in Best._fields:
            getattr(after, name)[unsure] = getattr(again, name)
    return after


@dataclass(frozen=True)
class Found:
    """Results of the device for some users: K best ``scores`` [m, K], best first, their ``columns``, and the mass."""

    scores: F32
    columns: I32
    peak: F64
    total: F64

    def rows(self, some: slice) -> Found:
        """Return the results of some of the users."""
        return Found(*(getattr(self, field.name)[some] for field in fields(Found)))


@dataclass(frozen=True)
class Screen:
    """What all user chunks share: where the items are, and how many ``kept`` per user."""

    items: ItemBlock
    held: DeviceItems | None
    rank: Rank
    kept: int
    device: torch.device
    dtype: torch.dtype
    memory_bytes: int

    def found(self, users: UserBlock, before: State) -> Found:
        """Return the K best items for each user, and the mass ``before`` plus the mass of the block."""
        rank = self.rank
        x = to_device(rows_over_norms(users.x, users.norm), self.device).to(self.dtype)
        length = to_device((users.norm * 2.0 ** exponent_of(self.items) * rank.scale).astype(np.float32), self.device)
        peak, total = to_device(before.peak, self.device), to_device(before.total, self.device)
        width = self.tile_width(users.size)
        lows = range(0, self.items.size, width)
        hidden, edges = self.hidden_of(users, [*lows, self.items.size])
        best: tuple[torch.Tensor, torch.Tensor] | None = None
        for number, low in enumerate(lows):
            high = min(low + width, self.items.size)
            if self.held is not None:
                tile = self.held.columns(low, high)
            else:
                tile = load(self.items, low, high, self.device, self.dtype)
            logits = logits_of(product(x, tile.theta), length, tile.bias, rank)
            if rank.log_z:
                peak, total = with_mass(peak, total, logits)
            scores = scores_of(product(x, tile.y_unit), logits, tile.closed, rank)
            row, column = hidden[:, edges[number] : edges[number + 1]]
            scores.view(-1).index_fill_(0, row * (high - low) + (column - low), -torch.inf)
            best = better(best, scores, low, self.kept)
        assert best is not None
        return Found(best[0].cpu().numpy(), best[1].cpu().numpy(), peak.cpu().numpy(), total.cpu().numpy())

    def tile_width(self, n_rows: int) -> int:
        """Return how many items a tile has so that it fits into half the memory: a multiple of 8, for fast products."""
        per_item = CELL_BYTES * n_rows + 2 * self.items.y.shape[1] * (4 + self.dtype.itemsize)
        width: int = min(WIDEST, self.memory_bytes // 2 // per_item)
        return max(8, width // 8 * 8)

    def hidden_of(self, users: UserBlock, lows: list[int]) -> tuple[torch.Tensor, list[int]]:
        """Return the items that users must not get, and where the columns of each tile begin among them.

        They are pairs (row, column) [2, e], ordered by column.
        """
        columns = users.excluded.astype(np.int64) - self.items.start
        rows = np.repeat(np.arange(users.size), np.diff(users.offsets))
        inside = (columns >= 0) & (columns < self.items.size)
        pairs = to_device(np.stack([rows[inside], columns[inside]]), self.device)
        pairs = pairs[:, pairs[1].argsort()]
        edges: list[int] = torch.searchsorted(pairs[1].contiguous(), to_device(np.array(lows), self.device)).tolist()
        return pairs, edges


def better(
    best: tuple[torch.Tensor, torch.Tensor] | None, scores: torch.Tensor, low: int, kept: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ``kept`` best (scores, columns) of those so far and of a tile that begins at ``low``, best first."""
    top, column = scores.topk(min(kept, scores.shape[1]), dim=1)
    column = column.add_(low).to(torch.int32)
    if best is None:
        return top, column
    top, column = torch.cat([best[0], top], dim=1), torch.cat([best[1], column], dim=1)
    top, place = top.topk(min(kept, top.shape[1]), dim=1)
    return top, column.gather(1, place)


def with_mass(peak: torch.Tensor, total: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``exp(peak) * total`` plus sum_j exp(logits[:, j]) as peak and total, both float64 [m]."""
    highest = logits.amax(1)
    here = (logits - highest[:, None]).exp_().sum(1).double()
    highest = highest.double()
    peak = torch.where(total > 0, peak, highest)
    shift = torch.maximum(peak, highest)
    return shift, total * (peak - shift).exp() + here * (highest - shift).exp()


def decide(state: State, users: UserBlock, items: ItemBlock, rank: Rank, found: Found, errors: F64) -> I64:
    """Merge the results of the device into ``state``, in place. Returns the users [u] whose list may miss an item."""
    best = Best(state.position, state.cosine, state.logit, state.raw)
    n_found = (found.scores > -np.inf).sum(1)
    shortlist = shortlist_of(best, 2 * errors)
    # A copy, because settling empties the shortlist.
    shortlist = shortlist._replace(scores=found.scores, columns=found.columns, n_kept=n_found.copy())
    settle(shortlist, best, pairs_of(users, items), rank)
    kept = found.scores.shape[1]
    if kept == items.size:
        return np.empty(0, np.int64)
    # What was not kept scored at most as much as the last one kept, so its exact score is at most this.
    missed = found.scores[:, -1].astype(np.float64) + errors
    unsure: I64 = np.flatnonzero((n_found == kept) & (missed >= best.raw[:, -1]))
    return unsure
