"""Poisson bootstrap over users: the weight of each user in each replicate, and sums that add up alike in any order."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from recsys_spark.numerics.arrays import F64, I64, U64

SCALE = 2**30
"""A metric in [0, 1] is summed as a whole number of 1/SCALE: whole numbers add up alike in any order."""
MAX_ROWS = 4096
"""Rows per product: SCALE x rows x the largest weight stays far below 2^53, where doubles are still exact."""

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_DRAWS = 65_536  # 16 bits per draw, four draws per hashed word


def poisson_weights(user_hash: U64, n_replicates: int) -> npt.NDArray[np.uint8]:
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


def _splitmix64(state: U64) -> U64:
    """The output function of Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"."""
    z = (state ^ (state >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    mixed: U64 = z ^ (z >> np.uint64(31))
    return mixed


def _poisson_table() -> npt.NDArray[np.uint8]:
    """Inverse of the Poisson(1) distribution function at the midpoints of 2^16 equal steps."""
    probability = np.array([math.exp(-1) / math.factorial(n) for n in range(16)])
    middle = (np.arange(_DRAWS) + 0.5) / _DRAWS
    return np.searchsorted(np.cumsum(probability), middle, side="right").astype(np.uint8)


_POISSON_OF_DRAW = _poisson_table()


def replicate_sums(values: F64, weights: npt.NDArray[np.uint8]) -> I64:
    """Return ``[1 + n_replicates, 1 + n_values]``, to be added over batches and partitions in any order.

    ``values`` ``[n, n_values]`` in [0, 1], ``weights`` ``[n, n_replicates]``. Row 0 is the sample itself, the other
    rows are the replicates. Column 0 is the sum of weights, the other columns are weighted sums of values in units of
    1/SCALE.
    """
    n, n_values = values.shape
    total = np.zeros((1 + weights.shape[1], 1 + n_values), np.int64)
    for start in range(0, n, MAX_ROWS):
        part = slice(start, start + MAX_ROWS)
        ones = np.ones((len(values[part]), 1))
        scaled = np.hstack([ones, np.rint(values[part] * SCALE)])
        total += (np.hstack([ones, weights[part]]).T @ scaled).astype(np.int64)
    return total
