"""The few items that may belong to a user's N best: found in float32, decided in float64.

Each user has a bound below the N-th best score. The items of an item block that reach it are on the user's shortlist.
A full shortlist raises the bound to its own N-th best, less the error of rounding, and drops the items below. At the
end of the block the rest is scored again in float64 and merged into the N best. No item of the exact list is lost,
unless the bound was a guess that is too high: ``settle`` names those users.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys_spark.numerics.arrays import F32, F64, I32, I64, Bools, Number
from recsys_spark.numerics.loops import LOWEST, below, lowered, nth_largest, order_of
from recsys_spark.numerics.machine_code import compiled, inlined
from recsys_spark.scoring.kernels.rank import Rank, exact_raw
from recsys_spark.scoring.kernels.rank.float64 import Pairs, exact_terms
from recsys_spark.scoring.kernels.sizes import NO_ITEM

COUNTED = 256
"""Up to this number of items, order comes from counting the items ahead of each."""


class Best(NamedTuple):
    """The N best of each user so far, best first, [m, N]: see ``topn.State``."""

    position: I64
    cosine: F64
    logit: F64
    raw: F64


class Shortlist(NamedTuple):
    """Items that may belong to the N best, [m, C] with ``n_kept`` [m] of them filled.

    ``columns`` int32 in the item block. Scores below ``certain`` [m] cannot be among the N best. Scores below
    ``bound`` [m], which is not smaller, are not kept. Both are LOWEST for a user who has fewer than N items. ``slack``
    float64 [m]: how far rounding can move the difference of two scores.
    """

    scores: F32
    columns: I32
    n_kept: I64
    certain: F32
    bound: F32
    slack: F64


def shortlist_of(best: Best, slack: F64) -> Shortlist:
    """Return empty shortlists whose bounds are below the N-th best so far."""
    m, n = best.raw.shape
    capacity = 4 * n + 16
    certain = np.maximum(below(best.raw[:, -1], slack), LOWEST)
    return Shortlist(
        np.empty((m, capacity), np.float32),
        np.empty((m, capacity), np.int32),
        np.zeros(m, np.int64),
        certain,
        certain.copy(),
        slack,
    )


@inlined()
def raise_bound(i: int, score: Number, shortlist: Shortlist) -> None:
    """Note that user i has N items of at least ``score``."""
    certain = lowered(float(score), float(shortlist.slack[i]))
    shortlist.certain[i] = max(shortlist.certain[i], certain)
    shortlist.bound[i] = max(shortlist.bound[i], certain)


@inlined()
def tighten(i: int, shortlist: Shortlist, best: Best, pairs: Pairs, rank: Rank) -> None:
    """Raise user i's bound to the N-th best of the full shortlist and drop what is below."""
    scores, columns, count = shortlist.scores[i], shortlist.columns[i], shortlist.n_kept[i]
    raise_bound(i, nth_largest(scores[:count], best.raw.shape[1]), shortlist)
    kept = 0
    for k in range(count):
        if scores[k] >= shortlist.bound[i]:
            scores[kept], columns[kept] = scores[k], columns[k]
            kept += 1
    shortlist.n_kept[i] = kept
    if 4 * kept > 3 * len(scores):  # float32 cannot tell these apart
        settle_user(i, shortlist, best, pairs, rank)


@compiled()
def settle(shortlist: Shortlist, best: Best, pairs: Pairs, rank: Rank) -> Bools:
    """Merge all shortlists into the N best and empty them. Returns whose bound was guessed too high, [m]."""
    unsure = np.empty(len(shortlist.n_kept), np.bool_)
    for i in range(len(shortlist.n_kept)):
        settle_user(i, shortlist, best, pairs, rank)
        unsure[i] = shortlist.certain[i] < shortlist.bound[i]
    return unsure


@inlined()
def settle_user(i: int, shortlist: Shortlist, best: Best, pairs: Pairs, rank: Rank) -> None:
    """Score user i's shortlist in float64, merge it into the N best, raise the bound and empty the shortlist."""
    n, count = best.raw.shape[1], shortlist.n_kept[i]
    if not count:
        return
    if count > 2 * n:  # for fewer, scoring is faster than telling them apart
        raise_bound(i, nth_largest(shortlist.scores[i, :count], n), shortlist)
    raw, position = np.empty(n + count), np.empty(n + count, np.int64)
    cosine, logit = np.empty(n + count), np.empty(n + count)
    held = 0
    while held < n and best.position[i, held] != NO_ITEM:
        raw[held], position[held] = best.raw[i, held], best.position[i, held]
        cosine[held], logit[held] = best.cosine[i, held], best.logit[i, held]
        held += 1
    for k in range(count):
        if shortlist.scores[i, k] >= shortlist.bound[i]:
            j = shortlist.columns[i, k]
            cosine[held], logit[held] = exact_terms(i, j, pairs, rank)
            raw[held] = exact_raw(rank, cosine[held], logit[held])
            position[held] = pairs.start + j
            held += 1
    place = places(raw[:held], position[:held])
    for k in range(held):
        if place[k] < n:
            best.raw[i, place[k]], best.position[i, place[k]] = raw[k], position[k]
            best.cosine[i, place[k]], best.logit[i, place[k]] = cosine[k], logit[k]
    shortlist.n_kept[i] = 0
    if held >= n:
        raise_bound(i, best.raw[i, n - 1], shortlist)


@inlined()
def places(raw: F64, position: I64) -> I64:
    """Return the place of each item, from 0, in the order (raw desc, position asc)."""
    size = len(raw)
    place = np.empty(size, np.int64)
    if size <= COUNTED:  # compares all pairs, but eight at a time and without a branch to mispredict
        for k in range(size):
            ahead = np.int64(0)
            for j in range(k):
                first = np.int64((raw[j] > raw[k]) | ((raw[j] == raw[k]) & (position[j] < position[k])))
                ahead += first
                place[j] += 1 - first
            place[k] = ahead
        return place
    order = order_of(raw, position)
    for k in range(size):
        place[order[k]] = k
    return place
