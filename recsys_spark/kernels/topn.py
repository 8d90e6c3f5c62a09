"""The N best items per user over the whole catalogue, exactly, with the exact log Z: a fold over item blocks.

For user i and item j, with cos(v, w) = 0 where a vector is zero and T the temperature:

    logit = (theta_j . x_i + b_j) / T      raw = w_cos * cos(x_i, y_j) + w_ce * logit
    log Z = log sum_j exp(logit)           score = w_cos * cos + w_ce * (logit - log Z) = raw - w_ce * log Z

log Z is the same for all items of a user, so the N best by ``raw`` are the N best by ``score``, and a log-sum-exp is
added up tile by tile. Float32 products screen the items; those whose rounding could matter are decided in float64,
so the list is that of a float64 brute force. Ties go to the smaller position, which is the smaller item_id.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from recsys_spark.errors import DataError
from recsys_spark.kernels.blocks import ItemBlock, UserBlock, unit_rows
from recsys_spark.kernels.layout import CHUNK, F32, F64, I64, NO_ITEM, TILE
from recsys_spark.kernels.screening import SAMPLE_EVERY, Excluded, Mass, Tile, guess_bounds, guess_rank, scan
from recsys_spark.kernels.shortlist import Best, Pairs, Rank, settle, shortlist_of

MIN_ROWS = 16
"""Fewer rows take another path through the BLAS, with other rounding; they are filled up with zeros."""
SAMPLE_FROM = 32
"""N from which guessing a bound from a sample pays for scoring the sample."""
LARGEST = 1e38
"""A logit that may be larger than this is refused: its exponential's argument is no longer a number."""


@dataclass(frozen=True)
class Weights:
    """The weights of the combined rank. Without ``log_z`` the sum over the catalogue is left out, for ranking alone."""

    cosine: float = 1.0
    ce: float = 1.0
    temperature: float = 1.0
    log_z: bool = True


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
        """log sum_j exp(logit_j), float64 [m]; -inf before the first block."""
        with np.errstate(divide="ignore"):
            return self.peak + np.log(self.total)

    def rows(self, some: slice | I64) -> State:
        """The state of some of the users."""
        return State(*(getattr(self, field.name)[some] for field in fields(State)))

    def copy(self) -> State:
        """A state with arrays of its own."""
        return State(*(getattr(self, field.name).copy() for field in fields(State)))


def empty_state(m: int, n: int) -> State:
    """The state of ``m`` users, ``n`` items each, before the first block."""
    nothing = np.full((m, n), -np.inf)
    return State(np.full((m, n), NO_ITEM), nothing, nothing, nothing, np.zeros(m), np.zeros(m))


def fold(state: State, users: UserBlock, items: ItemBlock, weights: Weights, n_threads: int = 1) -> State:
    """Return the state after one more item block; ``n_threads`` share the users.

    Raises DataError where vector widths differ or a logit exceeds float32.

    >>> from recsys_spark.kernels.blocks import item_block, user_block
    >>> y = np.array([[1, 0], [0, 1]], np.float32)
    >>> items = item_block(0, y, y, bias=np.zeros(2, np.float32), available=np.ones(2, bool))
    >>> state = fold(empty_state(1, 2), user_block(np.array([[2, 0]], np.float32)), items, Weights())
    >>> state.position, state.raw, np.round(state.log_sum, 4)  # log(e^2 + e^0)
    (array([[0, 1]]), array([[3., 0.]]), array([2.1269]))
    """
    check_widths(users, items)
    if not users.size or not items.size:
        return state
    check_reach(users, items, weights)
    chunks = [slice(low, min(low + CHUNK, users.size)) for low in range(0, users.size, CHUNK)]
    lanes = [chunks[lane::n_threads] for lane in range(min(n_threads, len(chunks)))]
    after = state.copy()
    prepared = Prepared.of(items, weights, state.position.shape[1])

    def fold_lane(lane: list[slice]) -> None:
        room = torch.empty(2, max(min(CHUNK, users.size), MIN_ROWS) * max(min(TILE, items.size), len(prepared.sample)))
        for some in lane:
            _fold_chunk(after.rows(some), users.rows(some), prepared, room)

    if len(lanes) == 1:
        fold_lane(lanes[0])
    else:
        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(fold_lane, lanes))
    return after


@dataclass(frozen=True)
class Prepared:
    """What all users share in one item block: the ranking weights and, where N is large, sampled columns."""

    items: ItemBlock
    rank: Rank
    offset: F32
    sample: I64
    place: int

    @staticmethod
    def of(items: ItemBlock, weights: Weights, n: int) -> Prepared:
        """Derive it for lists of ``n``."""
        rank = Rank(weights.cosine, weights.ce, 1 / weights.temperature, weights.log_z)
        offset = np.where(items.open, np.float32(rank.ce * rank.scale) * items.bias, np.float32(-np.inf))
        sample = np.arange(0, items.size, SAMPLE_EVERY)
        place = guess_rank(n, len(sample), items.size)
        worthwhile = n >= SAMPLE_FROM and 8 * place <= len(sample)
        return Prepared(items, rank, offset, sample if worthwhile else sample[:0], place)


def _fold_chunk(state: State, users: UserBlock, prepared: Prepared, room: torch.Tensor) -> None:
    """Fold the block into ``state``, in place. ``room`` holds the products: fresh pages for every tile would cost more than exp."""
    before = state.copy() if len(prepared.sample) else state
    unsure = _fold_rows(state, users, prepared, room)
    if len(unsure):
        again = before.rows(unsure).copy()
        certain = replace(prepared, sample=prepared.sample[:0], rank=prepared.rank._replace(log_z=False))
        _fold_rows(again, users.take(unsure), certain, room)
        for name in Best._fields:
            getattr(state, name)[unsure] = getattr(again, name)


def _fold_rows(state: State, users: UserBlock, prepared: Prepared, room: torch.Tensor) -> I64:
    """Fold the block into ``state``, in place; the users whose list is not sure because of a wrong guess."""
    items, rank = prepared.items, prepared.rank
    best, mass = Best(state.position, state.cosine, state.logit, state.raw), Mass(state.peak, state.total)
    pairs = Pairs(users.x, users.norm, items.y, items.y_norm, items.theta, items.bias, items.start)
    shortlist = shortlist_of(best, rounding(users, items, rank))
    excluded = excluded_of(users, items)
    x, x_unit = filled_up(users.x), filled_up(unit_rows(users.x, users.norm))

    def tile_of(some: slice | I64, low: int) -> Tile:
        theta, y_unit = torch.from_numpy(items.theta[some]), torch.from_numpy(items.y_unit[some])
        products, cosines = (buffer[: len(x) * len(theta)].view(len(x), len(theta)) for buffer in room)
        torch.mm(x, theta.T, out=products)
        torch.mm(x_unit, y_unit.T, out=cosines)
        return Tile(products.numpy(), cosines.numpy(), items.bias[some], prepared.offset[some], low)

    if len(prepared.sample):
        guess_bounds(tile_of(prepared.sample, 0), prepared.sample, prepared.place, excluded, shortlist, rank)
    for number, (low, high) in enumerate(items.tiles):
        reach = (users.norm * items.theta_max[number] + items.bias_max[number]) * rank.scale
        scan(tile_of(slice(low, high), low), reach, excluded, shortlist, best, mass, pairs, rank)
    unsure: I64 = settle(shortlist, best, pairs, rank)
    return unsure


def filled_up(x: F32) -> torch.Tensor:
    """``x`` [m, d] with at least MIN_ROWS rows."""
    return torch.from_numpy(np.pad(x, ((0, max(0, MIN_ROWS - len(x))), (0, 0))))


def excluded_of(users: UserBlock, items: ItemBlock) -> Excluded:
    """What each user must not get, as columns of the block."""
    columns = users.excluded.astype(np.int64) - items.start
    starts, ends = users.offsets[:-1], users.offsets[1:]
    before = np.concatenate([[0], np.cumsum(columns < 0)])
    return Excluded(columns, starts + before[ends] - before[starts], ends)


def rounding(users: UserBlock, items: ItemBlock, rank: Rank) -> F64:
    """What rounding can do to the difference of two float32 scores of a user, float64 [m].

    A dot product's error is below d * 2^-24 * |a||b| in whatever order it is summed (Higham, Accuracy and Stability,
    section 3.1); each score has one, and a factor of two covers the roundings around it.
    """
    reach = (users.norm * items.theta_max.max() + items.bias_max.max()) * rank.scale
    slack: F64 = 4 * (users.x.shape[1] + 8) * 2.0**-24 * (rank.cosine + rank.ce * reach) + 1e-30
    return slack


def check_widths(users: UserBlock, items: ItemBlock) -> None:
    """Raise DataError where users' and items' vectors differ in width."""
    if users.x.shape[1] != items.theta.shape[1]:
        raise DataError(
            "User and item vectors differ in width",
            where="score",
            found=f"users {users.x.shape[1]}, items {items.theta.shape[1]}",
            expected="one width",
            action="Score vectors of one model; run the train stage again if its output is mixed.",
        )


def check_reach(users: UserBlock, items: ItemBlock, weights: Weights) -> None:
    """Raise DataError where a logit could exceed what float32 can hold."""
    reach = (users.norm.max() * items.theta_max.max() + items.bias_max.max()) / min(1.0, weights.temperature)
    if not reach < LARGEST:
        raise DataError(
            "Logits of a user exceed what float32 can hold",
            where="score",
            found=f"|x| up to {users.norm.max():.3g}, |theta| up to {items.theta_max.max():.3g}",
            expected=f"products below {LARGEST:.0e}",
            action="Train again with a smaller learning rate; such a model has diverged.",
        )


def _expect_read_only_arrays() -> None:
    """Torch warns once per process that it sees a read-only array; ours live in Arrow buffers and are only read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(np.frombuffer(bytes(4), np.float32))


_expect_read_only_arrays()
