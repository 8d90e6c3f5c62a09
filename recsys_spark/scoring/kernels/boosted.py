"""Adds the boosts of links to the logits of a few items of each user, exactly, in the lists and in log Z.

The products of the fold know nothing of boosts. So the fold excludes the boosted items of a user. Then each of them is
scored alone in float64 and merged into the list, and log Z gets exp(boosted logit) - exp(plain logit).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsys_spark.model.kernels.links import columns_of
from recsys_spark.numerics.arrays import F32, I32, I64, Bools
from recsys_spark.numerics.loops import order_of
from recsys_spark.numerics.machine_code import compiled
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.rank import Rank, exact_raw
from recsys_spark.scoring.kernels.rank.float64 import Pairs, exact_terms, pairs_of, with_boost
from recsys_spark.scoring.kernels.screening import Mass, add_mass
from recsys_spark.scoring.kernels.shortlist import Best, places
from recsys_spark.scoring.kernels.sizes import NO_ITEM
from recsys_spark.scoring.kernels.topn import State

Fold = Callable[[State, UserBlock, ItemBlock, Rank], State]


@dataclass(frozen=True)
class UserBoosts:
    """Boosts of users.

    Those of user i are ``links[offsets[i]:offsets[i + 1]]``, link numbers of items, and their ``values``, which are
    positive.
    """

    offsets: I64
    links: I32
    values: F32


def fold_boosted(fold: Fold, state: State, users: UserBlock, boosts: UserBoosts, items: ItemBlock, rank: Rank) -> State:
    """Return the state after one more item block, as ``fold`` does, with boosted logits."""
    columns = columns_of(items.links)
    places_known = boosts.links < len(columns)
    column = np.where(places_known, columns[np.where(places_known, boosts.links, 0)], -1) if len(columns) else None
    if column is None or not (column >= 0).any():
        return fold(state, users, items, rank)
    offsets, excluded, is_excluded = merged(users.offsets, users.excluded, boosts.offsets, column, items.start)
    after = fold(state, UserBlock(users.x, users.norm, offsets, excluded), items, rank).copy()
    add_boosted(
        Best(after.position, after.cosine, after.logit, after.raw),
        Mass(after.peak, after.total),
        boosts.offsets,
        column,
        boosts.values,
        is_excluded | ~items.open[np.maximum(column, 0)],
        pairs_of(users, items),
        rank,
    )
    return after


@compiled()
def merged(offsets: I64, excluded: I32, boost_offsets: I64, column: I64, start: int) -> tuple[I64, I32, Bools]:
    """Return exclusions as CSR, ascending, with the boosted columns among them, and which of those were there before.

    A ``column`` of -1 lies in another block.
    """
    m = len(offsets) - 1
    out_offsets, out = np.zeros(m + 1, np.int64), np.empty(len(excluded) + len(column), np.int32)
    was_there = np.zeros(len(column), np.bool_)
    size = 0
    for i in range(m):
        low, high = boost_offsets[i], boost_offsets[i + 1]
        order = order_of(np.zeros(high - low), column[low:high])
        at, end = offsets[i], offsets[i + 1]
        for some in order:
            k = low + some
            if column[k] < 0:
                continue
            position = column[k] + start
            while at < end and excluded[at] < position:
                out[size] = excluded[at]
                size += 1
                at += 1
            if at < end and excluded[at] == position:
                was_there[k] = True
            else:
                out[size] = position
                size += 1
        while at < end:
            out[size] = excluded[at]
            size += 1
            at += 1
        out_offsets[i + 1] = size
    return out_offsets, out[:size].copy(), was_there


@compiled()
def add_boosted(
    best: Best, mass: Mass, offsets: I64, column: I64, boost: F32, closed: Bools, pairs: Pairs, rank: Rank
) -> None:
    """Add the boosted items of a block to log Z, and those that are not ``closed`` to the N best."""
    n = best.raw.shape[1]
    most = 0
    for i in range(len(offsets) - 1):
        most = max(most, offsets[i + 1] - offsets[i])
    raw, position = np.empty(n + most), np.empty(n + most, np.int64)
    cosine, logit = np.empty(n + most), np.empty(n + most)
    for i in range(len(offsets) - 1):
        held = 0
        while held < n and best.position[i, held] != NO_ITEM:
            raw[held], position[held] = best.raw[i, held], best.position[i, held]
            cosine[held], logit[held] = best.cosine[i, held], best.logit[i, held]
            held += 1
        listed = held
        for k in range(offsets[i], offsets[i + 1]):
            j = column[k]
            if j < 0:
                continue
            likeness, plain = exact_terms(i, j, pairs, rank)
            total = with_boost(plain, boost[k], rank)
            if rank.log_z:
                add_mass(mass, i, -np.expm1(plain - total), total)
            if closed[k]:
                continue
            cosine[held], logit[held] = likeness, total
            raw[held] = exact_raw(rank, likeness, total)
            position[held] = pairs.start + j
            # An item behind a full list need not be put in order.
            if listed < n or raw[held] >= raw[n - 1]:
                held += 1
        if held == listed:
            continue
        place = places(raw[:held], position[:held])
        for k in range(held):
            if place[k] < n:
                best.raw[i, place[k]], best.position[i, place[k]] = raw[k], position[k]
                best.cosine[i, place[k]], best.logit[i, place[k]] = cosine[k], logit[k]
