"""Makes shortlists and log Z of the float32 products of a tile, one row of the tile at a time.

Scores are compared with the user's bound, 64 at a time. Few reach it, so no general top-k runs over full rows. Where N
is large, the bound starts from a guess: a quantile of the scores of a few sampled items.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recsys_spark.numerics.arrays import F32, F64, I64, Number
from recsys_spark.numerics.instructions import WORD, lowest_bit, reaching
from recsys_spark.numerics.loops import (
    LANES,
    LOWEST,
    RUN,
    exp_into,
    group_maxima,
    highest_of,
    lowered,
    nth_largest,
    total_of,
)
from recsys_spark.numerics.machine_code import compiled, inlined
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.rank.float32 import scores_into
from recsys_spark.scoring.kernels.rank.float64 import Pairs
from recsys_spark.scoring.kernels.shortlist import Best, Shortlist, raise_bound, tighten

SHIFT_FREE = 79.0
"""|logit| up to this can be summed over a tile in float32 without a shift: 1024 * e^79 < 3.4e38."""
SAMPLE_EVERY = 32
"""One item of this many is scored twice, so that the shortlists of a large N start from a good guess."""


class Mass(NamedTuple):
    """sum_j exp(logit_j) of each user as ``exp(peak) * total``, float64 [m]."""

    peak: F64
    total: F64


class Excluded(NamedTuple):
    """Columns of the block that user i must not get: ``columns[cursor[i]:end[i]]``, ascending; the cursor moves on."""

    columns: I64
    cursor: I64
    end: I64


class Tile(NamedTuple):
    """One step: products [m, w] of ``x`` with theta and of ``x / |x|`` with y / |y|, and per item float32 [w].

    Products are float32, or the bits of bfloat16 as uint16.
    ``offset``: see ``offsets_of``; ``low``: the first item's column in the block.
    """

    products: F32
    cosines: F32
    bias: F32
    offset: F32
    low: int


def guess_rank(n: int, sampled: int, size: int) -> int:
    """Return which of a sample's best stands for the ``n``-th best of all.

    The number of the n best that are in the sample is a Poisson variable. Its mean plus 3 deviations plus 2 is
    exceeded for few users in a thousand.

    >>> guess_rank(100, 625, 20_000)
    11
    """
    mean = n * sampled / size
    return math.ceil(mean + 3 * math.sqrt(mean) + 2)


@compiled()
def scan(
    tile: Tile, reach: F64, excluded: Excluded, shortlist: Shortlist, best: Best, mass: Mass, pairs: Pairs, rank: Rank
) -> None:
    """Add a tile to ``mass`` and to the shortlists; ``reach`` float64 [m] is at least every |logit|."""
    width = tile.products.shape[1]
    whole = -(-width // RUN) * RUN
    exps, scores = np.empty(width, np.float32), np.empty(whole, np.float32)
    scores[width:] = -np.inf
    bounds, counts = shortlist.bound, shortlist.n_kept
    kept_scores, kept_columns = shortlist.scores, shortlist.columns
    capacity = kept_scores.shape[1]
    scale = np.float32(rank.scale)
    for i in range(len(reach)):
        products, cosines = tile.products[i], tile.cosines[i]
        if rank.log_z:
            highest: Number = np.float32(0.0)
            if reach[i] > SHIFT_FREE:
                highest = highest_of(products, tile.bias)
            exp_into(exps, products, tile.bias, scale, highest)
            add_mass(mass, i, np.float64(total_of(exps)), np.float64(highest) * rank.scale)
        scores_into(scores[:width], products, cosines, tile.offset, rank)
        while excluded.cursor[i] < excluded.end[i] and excluded.columns[excluded.cursor[i]] < tile.low + width:
            scores[excluded.columns[excluded.cursor[i]] - tile.low] = -np.inf
            excluded.cursor[i] += 1
        if bounds[i] == LOWEST:
            nth = high_nth(scores, best.raw.shape[1])
            if nth > LOWEST:
                raise_bound(i, nth, shortlist)
        for low in range(0, whole, WORD):
            hits = reaching(scores, low, bounds[i])
            while hits != 0:
                column = low + lowest_bit(hits)
                hits &= hits - np.uint64(1)
                if counts[i] == capacity:
                    tighten(i, shortlist, best, pairs, rank)
                if scores[column] >= bounds[i]:
                    kept_scores[i, counts[i]] = scores[column]
                    kept_columns[i, counts[i]] = tile.low + column
                    counts[i] += 1


@inlined()
def add_mass(mass: Mass, i: int, total: Number, shift: Number) -> None:
    """Add ``exp(shift) * total`` to user i's sum."""
    if mass.total[i] == 0.0 or shift == mass.peak[i]:
        mass.peak[i] = shift
        mass.total[i] += total
    elif shift > mass.peak[i]:
        mass.total[i] = mass.total[i] * np.exp(mass.peak[i] - shift) + total
        mass.peak[i] = shift
    else:
        mass.total[i] += total * np.exp(shift - mass.peak[i])


@inlined()
def high_nth(scores: F32, n: int) -> Number:
    """Return the N-th best score, or a smaller one that costs less: the N-th best group maximum, if groups are many."""
    n_groups = len(scores) // RUN * LANES
    if 4 * n > n_groups:
        return nth_largest(scores, n)
    maxima = np.empty(n_groups, np.float32)
    group_maxima(maxima, scores)
    return nth_largest(maxima, n)


@compiled()
def guess_bounds(sample: Tile, columns: I64, place: int, excluded: Excluded, shortlist: Shortlist, rank: Rank) -> None:
    """Bound every user by the ``place``-th best of the items sampled at ``columns``; ``certain`` stays."""
    width = len(columns)
    scores = np.full(-(-width // RUN) * RUN, np.float32(-np.inf))
    for i in range(len(shortlist.n_kept)):
        scores_into(scores[:width], sample.products[i], sample.cosines[i], sample.offset, rank)
        at = 0
        for k in range(excluded.cursor[i], excluded.end[i]):
            while at < width and columns[at] < excluded.columns[k]:
                at += 1
            if at < width and columns[at] == excluded.columns[k]:
                scores[at] = -np.inf
        guess = lowered(float(high_nth(scores, place)), float(shortlist.slack[i]))
        shortlist.bound[i] = max(shortlist.bound[i], guess)
