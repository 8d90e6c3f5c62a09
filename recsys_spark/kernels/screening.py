"""From float32 products of a tile to shortlists and log Z, one row of the tile at a time.

Groups of items whose maximum is below the user's bound are skipped, so no general top-k runs over full rows. Where N is
large, the bound starts from a guess: a quantile of the scores of a few sampled items.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recsys_spark.kernels.compiled import (
    LANES,
    RUN,
    compiled,
    exp_into,
    group_maxima,
    highest_of,
    n_reaching,
    nth_largest,
    scores_into,
    total_of,
)
from recsys_spark.kernels.layout import F32, F64, I64, Number
from recsys_spark.kernels.shortlist import LOWEST, Best, Pairs, Rank, Shortlist, raise_bound, tighten

SHIFT_FREE = 79.0
"""|logit| up to this can be summed over a tile in float32 without a shift: 1024 * e^79 < 3.4e38."""
SAMPLE_EVERY = 32
"""One item in so many is scored twice, so that the shortlists of a large N start from a good guess."""


class Mass(NamedTuple):
    """sum_j exp(logit_j) of each user as ``exp(peak) * total``, float64 [m]."""

    peak: F64
    total: F64


class Excluded(NamedTuple):
    """Columns of the block that user i must not get, ascending: ``columns[cursor[i]:end[i]]``; the cursor moves on."""

    columns: I64
    cursor: I64
    end: I64


class Tile(NamedTuple):
    """One step: products [m, w] of ``x`` with theta and of ``x / |x|`` with y / |y|, and per item float32 [w].

    ``offset`` = ce * scale * bias, -inf for items that nobody may get; ``low``: the first item's column in the block.
    """

    products: F32
    cosines: F32
    bias: F32
    offset: F32
    low: int


def guess_rank(n: int, sampled: int, size: int) -> int:
    """Which of a sample's best stands for the ``n``-th best of all, low enough to be wrong for few users in a thousand.

    As many of the n best are in the sample as a Poisson variable of this mean; 3 deviations and 2 are above nearly all.

    >>> guess_rank(100, 625, 20_000)
    11
    """
    mean = n * sampled / size
    return math.ceil(mean + 3 * math.sqrt(mean) + 2)


@compiled()
def scan(
    tile: Tile, reach: F64, excluded: Excluded, shortlist: Shortlist, best: Best, mass: Mass, pairs: Pairs, rank: Rank
) -> None:
    """Add a tile to ``mass`` and to the shortlists. ``reach`` float64 [m] is above the logits' absolute values."""
    width = tile.products.shape[1]
    whole = -(-width // RUN) * RUN
    exps, scores = np.empty(width, np.float32), np.empty(whole, np.float32)
    maxima = np.empty(whole // RUN * LANES, np.float32)
    scores[width:] = -np.inf
    # One more per group than can be hits: the last write of a loop is not kept.
    hits = np.empty(whole + len(maxima) + 1, np.int64)
    bounds, counts = shortlist.bound, shortlist.n_kept
    kept_scores, kept_columns = shortlist.scores, shortlist.columns
    capacity = kept_scores.shape[1]
    scale, ce, cosine = np.float32(rank.scale), np.float32(rank.ce * rank.scale), np.float32(rank.cosine)
    for i in range(len(reach)):
        products, cosines = tile.products[i], tile.cosines[i]
        if rank.log_z:
            shift: Number = np.float32(0.0)
            if reach[i] > SHIFT_FREE:
                shift = highest_of(products, tile.bias, scale)
            exp_into(exps, products, tile.bias, scale, shift)
            add_mass(mass, i, np.float64(total_of(exps)), np.float64(shift))
        scores_into(scores[:width], products, cosines, tile.offset, ce, cosine)
        while excluded.cursor[i] < excluded.end[i] and excluded.columns[excluded.cursor[i]] < tile.low + width:
            scores[excluded.columns[excluded.cursor[i]] - tile.low] = -np.inf
            excluded.cursor[i] += 1
        group_maxima(maxima, scores)
        if bounds[i] == LOWEST:
            first_bound(i, scores, maxima, best.raw.shape[1], shortlist)
        bound = bounds[i]
        if n_reaching(maxima, bound) == 0:
            continue
        n_hits = hits_into(hits, scores, maxima, bound)
        for k in range(n_hits):
            score = scores[hits[k]]
            if counts[i] == capacity:
                tighten(i, shortlist, best, pairs, rank)
            if score >= bounds[i]:
                kept_scores[i, counts[i]] = score
                kept_columns[i, counts[i]] = tile.low + hits[k]
                counts[i] += 1


@compiled()
def hits_into(hits: I64, scores: F32, maxima: F32, bound: Number) -> int:
    """The columns whose score reaches ``bound``, int64 [w]; returns how many. Without branches: a hit is what no processor predicts."""
    groups = hits[len(hits) - len(maxima) :]
    n_groups, n_hits = 0, 0
    for group in range(len(maxima)):
        groups[n_groups] = group
        n_groups += maxima[group] >= bound
    for k in range(n_groups):
        low = groups[k] // LANES * RUN + groups[k] % LANES
        for j in range(low, low + RUN, LANES):
            hits[n_hits] = j
            n_hits += scores[j] >= bound
    return n_hits


@compiled()
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


@compiled()
def first_bound(i: int, scores: F32, maxima: F32, n: int, shortlist: Shortlist) -> None:
    """Bound user i by the N-th best of the first tile: of its group maxima where there are plenty, else of all its scores."""
    values = maxima if 4 * n <= len(maxima) else scores
    if n <= len(values):
        nth = nth_largest(values, n)
        if nth > LOWEST:
            raise_bound(i, nth, shortlist)


@compiled()
def guess_bounds(sample: Tile, columns: I64, place: int, excluded: Excluded, shortlist: Shortlist, rank: Rank) -> None:
    """Bound every user by the ``place``-th best of a tile of sampled items, at ``columns``; ``certain`` stays."""
    width = len(columns)
    scores = np.empty(width, np.float32)
    ce, cosine = np.float32(rank.ce * rank.scale), np.float32(rank.cosine)
    for i in range(len(shortlist.n_kept)):
        scores_into(scores, sample.products[i], sample.cosines[i], sample.offset, ce, cosine)
        at = 0
        for k in range(excluded.cursor[i], excluded.end[i]):
            while at < width and columns[at] < excluded.columns[k]:
                at += 1
            if at < width and columns[at] == excluded.columns[k]:
                scores[at] = -np.inf
        shortlist.bound[i] = max(shortlist.bound[i], nth_largest(scores, place))
