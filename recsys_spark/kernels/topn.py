"""The N best items per user over the whole catalogue, exactly, with the exact log Z: a fold over item blocks.

For user i and item j, with cos(v, w) = 0 where a vector is zero:

    logit = theta_j . x_i + b_j        raw = w_cos * cos(x_i, y_j) + w_ce * logit
    log Z = log sum_j exp(logit)       score = w_cos * cos + w_ce * (logit - log Z) = raw - w_ce * log Z

log Z is the same for all items of a user, so the N best by ``raw`` are the N best by ``score``, and a log-sum-exp is
added up block by block. Float32 products screen the items; those whose rounding could matter are decided in float64,
so the list is that of a float64 brute force. Ties go to the smaller position, which is the smaller item_id.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from recsys_spark.errors import DataError
from recsys_spark.kernels.blocks import F64, I64, TILE, ItemBlock, UserBlock, unit_rows
from recsys_spark.kernels.screening import Screen, padded

CHUNK = 256
"""Users per matrix product: a tile of 256 x 2,048 float32 scores stays in cache."""
MIN_ROWS = 16
"""Fewer rows take another path through the BLAS, with other rounding; they are filled up with zeros."""
EXP_LIMIT = 79.0
"""|logit| up to this can be summed over a tile in float32 without a shift: 2048 * e^79 < 3.4e38."""
RESCORE_ROWS = 8192
NO_ITEM = -1


@dataclass(frozen=True)
class Weights:
    """The weights of the combined rank."""

    cosine: float = 1.0
    ce: float = 1.0


@dataclass(frozen=True)
class State:
    """The fold's state per user.

    ``position`` int64 [m, N] in the catalogue, NO_ITEM where there are fewer; ``cosine``, ``logit``, ``raw`` float64
    [m, N], best first; ``log_sum`` float64 [m], the log-sum-exp of the logits seen so far.
    """

    position: I64
    cosine: F64
    logit: F64
    raw: F64
    log_sum: F64

    def rows(self, some: slice) -> State:
        """The state of some of the users."""
        return State(*(getattr(self, field.name)[some] for field in fields(State)))


def empty_state(m: int, n: int) -> State:
    """The state of ``m`` users, ``n`` items each, before the first block."""
    nothing = np.full((m, n), -np.inf)
    return State(np.full((m, n), NO_ITEM), nothing, nothing, nothing, np.full(m, -np.inf))


def fold(state: State, users: UserBlock, items: ItemBlock, weights: Weights) -> State:
    """Return the state after one more item block.

    Raises DataError where vector widths differ or a logit exceeds float32.

    >>> from recsys_spark.kernels.blocks import item_block, user_block
    >>> y = np.array([[1, 0], [0, 1]], np.float32)
    >>> items = item_block(0, y, y, bias=np.zeros(2, np.float32), available=np.ones(2, bool))
    >>> state = fold(empty_state(1, 2), user_block(np.array([[2, 0]], np.float32)), items, Weights())
    >>> state.position, state.raw, np.round(state.log_sum, 4)  # log(e^2 + e^0)
    (array([[0, 1]]), array([[3., 0.]]), array([2.1269]))
    """
    if users.x.shape[1] != items.theta.shape[1]:
        raise DataError(
            "User and item vectors differ in width",
            where="score",
            found=f"users {users.x.shape[1]}, items {items.theta.shape[1]}",
            expected="one width",
            action="Score vectors of one model; run the train stage again if its output is mixed.",
        )
    if not users.size or not items.size:
        return state
    # Allocated once: fresh pages for every chunk would cost more than the exponentials.
    room = torch.empty(2, max(min(CHUNK, users.size), MIN_ROWS) * min(TILE, len(items.y)))
    chunks = [slice(low, min(low + CHUNK, users.size)) for low in range(0, users.size, CHUNK)]
    parts = [_fold_chunk(state.rows(some), users.rows(some), items, weights, room) for some in chunks]
    return State(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(State)))


def _fold_chunk(state: State, users: UserBlock, items: ItemBlock, weights: Weights, room: torch.Tensor) -> State:
    m, n = state.position.shape
    missing = max(0, MIN_ROWS - m)
    x = torch.from_numpy(np.pad(users.x, ((0, missing), (0, 0))))
    x_unit = torch.from_numpy(np.pad(unit_rows(users.x, users.norm), ((0, missing), (0, 0))))
    screen = Screen(n, _slack(users, items, weights))
    screen.raise_bound(state.raw[:, -1])
    log_sum = state.log_sum
    for number, (tile, closed) in enumerate(zip(items.tiles, _closed_cells(users, items), strict=True)):
        width = tile.stop - tile.start
        scores, exps = (buffer[: len(x) * width].view(len(x), width) for buffer in room)
        torch.addmm(torch.from_numpy(items.bias[tile]), x, torch.from_numpy(items.theta[tile]).T, out=scores)
        reach = users.norm * items.theta_max[number] + items.bias_max[number]
        with np.errstate(invalid="ignore"):
            log_sum = np.logaddexp(log_sum, _log_sum_exp(scores[:m], exps[:m], reach))
        if weights.cosine:
            y_unit = torch.from_numpy(items.y_unit[tile])
            scores.addmm_(x_unit, y_unit.T, beta=weights.ce, alpha=weights.cosine)
        else:
            scores.mul_(weights.ce)
        scores.numpy().reshape(-1)[closed] = -np.inf
        screen.scan(scores[:m], items.start + tile.start)
        if screen.n_hits > 16 * m * n + 4 * width:
            state = _settle(state, screen, users, items, weights)
    if not np.isfinite(log_sum).all():
        raise DataError(
            "Logits of a user exceed what float32 can hold",
            where="score",
            found=f"|x| up to {users.norm.max():.3g}, |theta| up to {items.theta_max.max():.3g}",
            expected="products below 3e38",
            action="Train again with a smaller learning rate; such a model has diverged.",
        )
    return replace(_settle(state, screen, users, items, weights), log_sum=log_sum)


def _slack(users: UserBlock, items: ItemBlock, weights: Weights) -> F64:
    """What rounding can do to the difference of two float32 scores of a user, float64 [m].

    A dot product's error is below d * 2^-24 * |a||b| in whatever order it is summed (Higham, Accuracy and Stability,
    section 3.1); each score has one, and a factor of two covers the roundings around it.
    """
    reach = users.norm * items.theta_max.max() + items.bias_max.max()
    slack: F64 = 4 * (users.x.shape[1] + 8) * 2.0**-24 * (weights.cosine + weights.ce * reach) + 1e-30
    return slack


def _log_sum_exp(logits: torch.Tensor, room: torch.Tensor, reach: F64) -> F64:
    """Row log-sum-exp of float32 ``logits`` [m, w] by ``room`` [m, w]; ``reach`` [m] is above their absolute values.

    A row's result depends on that row alone: only rows that could overflow are shifted by their maximum.
    """
    shift = np.zeros(len(reach))
    values = logits
    if (reach > EXP_LIMIT).any():
        highest = logits.amax(1).numpy()
        shift = np.where(reach > EXP_LIMIT, highest, 0).astype(np.float32)
        values = torch.sub(logits, torch.from_numpy(shift)[:, None], out=room)
    with np.errstate(over="ignore", invalid="ignore"):
        np.exp(values.numpy(), out=room.numpy())
        return np.log(room.sum(1).numpy().astype(np.float64)) + shift


def _closed_cells(users: UserBlock, items: ItemBlock) -> list[I64]:
    """Per tile, the cells of the flattened scores that hold items which a user must not get."""
    every_row = np.arange(users.size)
    row = np.repeat(every_row, np.diff(users.offsets))
    column = users.excluded.astype(np.int64) - items.start
    inside = (column >= 0) & (column < items.size)
    row, column = row[inside], column[inside]
    cells = []
    for tile in items.tiles:
        width = tile.stop - tile.start
        here = (column >= tile.start) & (column < tile.stop)
        own = row[here] * width + column[here] - tile.start
        shut = items.closed[(items.closed >= tile.start) & (items.closed < tile.stop)] - tile.start
        cells.append(np.concatenate([own, (every_row[:, None] * width + shut).reshape(-1)]))
    return cells


def _settle(state: State, screen: Screen, users: UserBlock, items: ItemBlock, weights: Weights) -> State:
    """Score the screen's hits in float64 and merge them into the state; the screen's bound rises."""
    row, position = screen.take()
    if not len(row):
        return state
    m, n = state.position.shape
    cosine, logit = _exact_terms(users, items, row, position - items.start)
    low = np.float64(-np.inf)
    positions = padded(row, position, m, n, fill=np.int64(NO_ITEM))
    cosines, logits = padded(row, cosine, m, n, fill=low), padded(row, logit, m, n, fill=low)
    raws = padded(row, weights.cosine * cosine + weights.ce * logit, m, n, fill=low)
    positions[:, :n], cosines[:, :n], logits[:, :n], raws[:, :n] = state.position, state.cosine, state.logit, state.raw
    order = np.lexsort((positions, -raws), axis=1)[:, :n]
    best = State(
        np.take_along_axis(positions, order, axis=1),
        np.take_along_axis(cosines, order, axis=1),
        np.take_along_axis(logits, order, axis=1),
        np.take_along_axis(raws, order, axis=1),
        state.log_sum,
    )
    screen.raise_bound(best.raw[:, -1])
    return best


def _exact_terms(users: UserBlock, items: ItemBlock, row: I64, column: I64) -> tuple[F64, F64]:
    """Cosine and logit of (user, item) pairs in float64; a pair's bits do not depend on the pairs beside it."""
    cosine, logit = np.empty(len(row)), np.empty(len(row))
    for low in range(0, len(row), RESCORE_ROWS):
        some = slice(low, low + RESCORE_ROWS)
        i, j = row[some], column[some]
        x = users.x[i].astype(np.float64)
        logit[some] = (x * items.theta[j]).sum(1) + items.bias[j]
        norms = users.norm[i] * items.y_norm[j]
        dot = (x * items.y[j]).sum(1)
        cosine[some] = np.clip(np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0), -1, 1)
    return cosine, logit
