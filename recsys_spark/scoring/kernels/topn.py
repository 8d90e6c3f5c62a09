"""Finds the N best items per user over the whole catalogue, exactly, and log Z: a fold over item blocks.

For user i, item j and temperature T, with cos(v, w) = 0 where a vector is zero:

    logit = (theta_j . x_i + b_j) / T      raw = w_cos * cos(x_i, y_j) + w_ce * logit
    log Z = log sum_j exp(logit)           score = raw - w_ce * log Z

The N best by ``raw`` are the N best by ``score`` (see ``rank``). log Z is added up tile by tile, from float32
products. The items are screened by products that may be coarser still (``precision``). Where rounding could matter,
float64 decides, so the list equals the list of a float64 brute force. Ties go to the smaller position, which is the
smaller item_id.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch

from recsys_spark.errors import DataError
from recsys_spark.numerics.arrays import F64, I64
from recsys_spark.numerics.unit_rows import rows_over_norms
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.precision import fastest_screen, multiply, rows_of
from recsys_spark.scoring.kernels.prepared import Columns, Prepared
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.rank.float64 import pairs_of
from recsys_spark.scoring.kernels.screening import Excluded, Mass, Tile, guess_bounds, scan
from recsys_spark.scoring.kernels.shortlist import Best, settle, shortlist_of
from recsys_spark.scoring.kernels.sizes import CHUNK, NO_ITEM, TILE

MIN_ROWS = 16
"""Fewer rows take another path through the BLAS, with other rounding; they are filled up with zeros."""
LARGEST = 1e38
"""A logit that may be larger than this is refused, because float32 cannot hold it."""
Room = tuple[torch.Tensor, ...]
"""Memory for a tile's products with theta and with y / |y|."""


@dataclass(frozen=True)
class State:
    """The fold's state per user.

    ``position`` int64 [m, N] in the catalogue, NO_ITEM where there are fewer; ``cosine``, ``logit``, ``raw`` float64
    [m, N], best first; sum_j exp(logit_j) over the items seen so far is ``exp(peak) * total``, float64 [m].
    """

    position: I64
    cosine: F64
    logit: F64
    raw: F64
    peak: F64
    total: F64

    @property
    def log_sum(self) -> F64:
        """Return log sum_j exp(logit_j), float64 [m]; -inf before the first block."""
        with np.errstate(divide="ignore"):
            return self.peak + np.log(self.total)

    def rows(self, some: slice | I64) -> State:
        """Return the state of some of the users."""
        return State(*(getattr(self, field.name)[some] for field in fields(State)))

    def copy(self) -> State:
        """Return a copy of the state and its arrays."""
        return State(*(getattr(self, field.name).copy() for field in fields(State)))


def empty_state(m: int, n: int) -> State:
    """Return the state of ``m`` users, ``n`` items each, before the first block."""
    nothing = np.full((m, n), -np.inf)
    return State(np.full((m, n), NO_ITEM), nothing, nothing, nothing, np.zeros(m), np.zeros(m))


def fold(
    state: State,
    users: UserBlock,
    items: ItemBlock,
    rank: Rank,
    n_threads: int = 1,
    screen: torch.dtype | None = None,
) -> State:
    """Return the state after one more item block; ``n_threads`` share the users.

    ``screen`` is the precision of the products that only screen, by default the one that this processor multiplies
    fastest. No result depends on it, because log Z always comes from float32 products. Raises DataError where vector
    widths differ or a logit exceeds float32.

    >>> from recsys_spark.scoring.kernels.blocks import item_block, user_block
    >>> y = np.array([[1, 0], [0, 1]], np.float32)
    >>> items = item_block(0, y, y, bias=np.zeros(2, np.float32), available=np.ones(2, bool))
    >>> state = fold(empty_state(1, 2), user_block(np.array([[2, 0]], np.float32)), items, Rank())
    >>> state.position, state.raw, np.round(state.log_sum, 4)  # log(e^2 + e^0)
    (array([[0, 1]]), array([[3., 0.]]), array([2.1269]))
    """
    check_widths(users, items)
    if not users.size or not items.size:
        return state
    check_reach(users, items, rank)
    chunks = [slice(low, min(low + CHUNK, users.size)) for low in range(0, users.size, CHUNK)]
    lanes = [chunks[lane::n_threads] for lane in range(min(n_threads, len(chunks)))]
    after = state.copy()
    prepared = Prepared.of(items, rank, state.position.shape[1], screen or fastest_screen())

    def fold_lane(lane: list[slice]) -> None:
        cells = max(min(CHUNK, users.size), MIN_ROWS) * max(min(TILE, items.size), len(prepared.sample))
        room = tuple(torch.empty(cells, dtype=rows.dtype) for rows in (prepared.columns.theta, prepared.columns.y_unit))
        for some in lane:
            _fold_chunk(after.rows(some), users.rows(some), prepared, room)

    if len(lanes) == 1:
        fold_lane(lanes[0])
    else:
        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(fold_lane, lanes))
    return after


def _fold_chunk(state: State, users: UserBlock, prepared: Prepared, room: Room) -> None:
    """Fold the block into ``state``, in place."""
    before = state.copy() if len(prepared.sample) else state
    unsure = _fold_rows(state, users, prepared, room)
    if len(unsure):
        again = before.rows(unsure).copy()
        _fold_rows(again, users.take(unsure), prepared.without_guess(), room)
        for name in Best._fields:
            getattr(state, name)[unsure] = getattr(again, name)


def _fold_rows(state: State, users: UserBlock, prepared: Prepared, room: Room) -> I64:
    """Fold the block into ``state``, in place. Returns the users whose list is not sure because of a wrong guess."""
    items, rank, columns = prepared.items, prepared.rank, prepared.columns
    best, mass = Best(state.position, state.cosine, state.logit, state.raw), Mass(state.peak, state.total)
    pairs = pairs_of(users, items)
    shortlist = shortlist_of(best, prepared.rounding(users.norm))
    excluded = excluded_of(users, items)
    x = rows_of(users.x, columns.theta.dtype, MIN_ROWS)
    x_unit = rows_of(rows_over_norms(users.x, users.norm), columns.y_unit.dtype, MIN_ROWS)

    def tile_of(some: Columns, low: int) -> Tile:
        products, cosines = multiply(x, some.theta, room[0]), multiply(x_unit, some.y_unit, room[1])
        return Tile(products, cosines, some.bias, some.offset, low)

    if len(prepared.sample):
        guess_bounds(tile_of(prepared.sampled, 0), prepared.sample, prepared.place, excluded, shortlist, rank)
    for number, (low, high) in enumerate(items.tiles):
        reach = (users.norm * items.theta_max[number] + items.bias_max[number]) * rank.scale
        scan(tile_of(columns.take(slice(low, high)), low), reach, excluded, shortlist, best, mass, pairs, rank)
    return np.flatnonzero(settle(shortlist, best, pairs, rank))


def excluded_of(users: UserBlock, items: ItemBlock) -> Excluded:
    """Return the items that each user must not get, as columns of the block."""
    columns = users.excluded.astype(np.int64) - items.start
    starts, ends = users.offsets[:-1], users.offsets[1:]
    before = np.concatenate([[0], np.cumsum(columns < 0)])
    return Excluded(columns, starts + before[ends] - before[starts], ends)


def check_widths(users: UserBlock, items: ItemBlock) -> None:
    """Raise DataError where the vectors of users and items differ in width."""
    if users.x.shape[1] != items.theta.shape[1]:
        raise DataError(
            "User and item vectors differ in width",
            where="score",
            found=f"users {users.x.shape[1]}, items {items.theta.shape[1]}",
            expected="one width",
            action="Score vectors of one model; run the train stage again if its output is mixed.",
        )


def check_reach(users: UserBlock, items: ItemBlock, rank: Rank) -> None:
    """Raise DataError where a logit or a score could be too large for float32."""
    reach = users.norm.max() * items.theta_max.max() + items.bias_max.max()
    score = rank.w_cos + max(1.0, rank.w_ce) * reach * max(1.0, rank.scale)
    if not max(score, users.norm.max(), items.theta_max.max(), rank.scale) < LARGEST:
        raise DataError(
            "Logits of a user exceed what float32 can hold",
            where="score",
            found=f"|x| up to {users.norm.max():.3g}, |theta| up to {items.theta_max.max():.3g}; "
            f"w_cos = {rank.w_cos:g}, w_ce = {rank.w_ce:g}, temperature = {1 / rank.scale:g}",
            expected=f"products below {LARGEST:.0e} after the weights and the temperature",
            action="If the vectors are that long, the model has diverged: train again with a smaller learning rate. "
            "Otherwise choose smaller weights or a higher temperature.",
        )


def _expect_read_only_arrays() -> None:
    """Use up the warning that torch gives once per process for read-only arrays: ours lie in Arrow buffers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(np.frombuffer(bytes(4), np.float32))


_expect_read_only_arrays()
