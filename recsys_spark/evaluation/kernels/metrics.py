"""Ranking metrics per user and Poisson bootstrap weights: vectorised, no Spark."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

METRICS = ("recall", "ndcg", "mrr", "hit_rate")
SCALE = 2**30
"""A metric in [0, 1] is summed as a whole number of 1/SCALE: whole numbers add up alike in any order."""
MAX_ROWS = 4096
"""Rows per product: SCALE x rows x the largest weight stays far below 2^53, where doubles are still exact."""

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_DRAWS = 65_536  # 16 bits per draw, four draws per hashed word


def user_metrics(row: Longs, rank: Longs, n_truth: Longs, ks: Sequence[int]) -> Floats:
    """Return ``[n_users, len(ks), 4]``: METRICS of each user at each cut-off, all in [0, 1].

    ``row`` and ``rank`` ``[n_hits]`` name each hit: the user's index into ``n_truth`` ``[n_users]`` (items of the truth,
    at least 1) and its rank in the list, from 1. A user without a hit has zeros.
    With m = min(k, n_truth): recall = hits / m; ndcg = sum over hits of 1 / log2(rank + 1), over the same sum for
    ranks 1..m (Järvelin and Kekäläinen 2002, binary gains); mrr = 1 / rank of the first hit; hit_rate = 1 if any hit.

    >>> hits = np.array([0, 0]), np.array([1, 3])
    >>> user_metrics(*hits, np.array([2, 1]), [3])[:, 0].round(4).tolist()
    [[1.0, 0.9197, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    n_users = len(n_truth)
    values = np.zeros((n_users, len(ks), len(METRICS)))
    for position, k in enumerate(ks):
        within = rank <= k
        users, ranks = row[within], rank[within]
        most = np.minimum(n_truth, k)
        ideal = np.concatenate([[0.0], np.cumsum(_discount(np.arange(1, k + 1)))])
        n_hits = np.bincount(users, minlength=n_users)
        first = np.full(n_users, np.inf)
        np.minimum.at(first, users, ranks)
        # Sorted, so that the gains add up alike whatever the order in which a shuffle brought the hits.
        order = np.lexsort((ranks, users))
        gain = np.bincount(users[order], weights=_discount(ranks[order]), minlength=n_users)
        values[:, position] = np.stack([n_hits / most, gain / ideal[most], 1.0 / first, n_hits > 0], axis=1)
    return values


def _discount(rank: Longs) -> Floats:
    discount: Floats = 1.0 / np.log2(rank + 1.0)
    return discount


def poisson_weights(user_hash: Hashes, n_replicates: int) -> npt.NDArray[np.uint8]:
    """Return ``[n_users, n_replicates]``: how often each user counts in each bootstrap replicate, Poisson(1).

    Replacing the multinomial draw by independent Poisson ones lets every partition draw for itself (Chamandy et al.
    2012, "Estimating uncertainty for massive data streams"). A weight depends on the user's 64-bit hash and the
    replicate alone, so it is the same for every model and in whatever partition the user is met.

    >>> poisson_weights(np.array([1, 2], np.uint64), 6).tolist()
    [[0, 1, 0, 1, 3, 1], [0, 0, 0, 1, 0, 0]]
    """
    n_words = -(-n_replicates // 4)
    with np.errstate(over="ignore"):
        counters = np.arange(1, n_words + 1, dtype=np.uint64) * _GOLDEN
        words = _splitmix64(user_hash[:, None] + counters[None, :])
    draws = words.astype("<u8", copy=False).view("<u2")[:, :n_replicates]
    weights: npt.NDArray[np.uint8] = _POISSON_OF_DRAW[draws]
    return weights


def _splitmix64(state: Hashes) -> Hashes:
    """The output function of Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"."""
    z = (state ^ (state >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    mixed: Hashes = z ^ (z >> np.uint64(31))
    return mixed


def _poisson_table() -> npt.NDArray[np.uint8]:
    """Inverse of the Poisson(1) distribution function at the midpoints of 2^16 equal steps."""
    probability = np.array([math.exp(-1) / math.factorial(n) for n in range(16)])
    middle = (np.arange(_DRAWS) + 0.5) / _DRAWS
    return np.searchsorted(np.cumsum(probability), middle, side="right").astype(np.uint8)


_POISSON_OF_DRAW = _poisson_table()


def replicate_sums(values: Floats, weights: npt.NDArray[np.uint8]) -> Longs:
    """Return ``[1 + n_replicates, 1 + n_values]``, to be added over batches and partitions in any order.

    ``values`` ``[n, n_values]`` in [0, 1], ``weights`` ``[n, n_replicates]``. Row 0 is the sample itself, the others are the
    replicates; column 0 is the sum of weights, the others the weighted sums of values in units of 1/SCALE.
    """
    n, n_values = values.shape
    total = np.zeros((1 + weights.shape[1], 1 + n_values), np.int64)
    for start in range(0, n, MAX_ROWS):
        part = slice(start, start + MAX_ROWS)
        ones = np.ones((len(values[part]), 1))
        scaled = np.hstack([ones, np.rint(values[part] * SCALE)])
        total += (np.hstack([ones, weights[part]]).T @ scaled).astype(np.int64)
    return total
