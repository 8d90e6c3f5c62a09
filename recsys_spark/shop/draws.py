"""Random numbers without state: every draw is a hash of (seed, stream, id), whatever the partitions and cores are."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from recsys_spark.numerics.arrays import F64, I64, U64

_MASK = (1 << 64) - 1
_SCRAMBLE = 2_654_435_761  # a prime, hence coprime to every smaller count


def uniform(seed: int, stream: str, ids: I64) -> F64:
    """Return one number in [0, 1) per id. ``stream`` names what is drawn. Source: SplitMix64 (Steele et al., 2014).

    >>> ids = np.arange(4)
    >>> bool((uniform(7, "a", ids)[2:] == uniform(7, "a", ids[2:])).all())
    True
    """
    salt = np.uint64((zlib.crc32(stream.encode()) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03) & _MASK)
    mixed = _mix(_mix(ids.astype(np.uint64)) ^ salt)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: U64) -> U64:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def integers(seed: int, stream: str, ids: I64, n: int | I64) -> I64:
    """Return one integer in [0, n) per id. ``n`` is one number, or one per id."""
    return np.floor(uniform(seed, stream, ids) * n).astype(np.int64)


def zipf_rank(u: F64, n: int | I64, exponent: float, shift: float) -> I64:
    """Return ranks 0 .. n-1 of uniform numbers, with density ~ (rank + shift)^-exponent (Zipf-Mandelbrot).

    Inverse of the continuous distribution function; ``exponent`` must not be 1.

    >>> zipf_rank(np.array([0.0, 0.5, 0.999]), 100, 1.2, 5.0).tolist()
    [0, 13, 99]
    """
    power = 1.0 - exponent
    low, high = np.power(shift, power), np.power(np.asarray(n, dtype=np.float64) + shift, power)
    rank = np.power(u * (high - low) + low, 1.0 / power) - shift
    floored: I64 = np.minimum(np.maximum(np.floor(rank).astype(np.int64), 0), np.asarray(n, dtype=np.int64) - 1)
    return floored


def scramble(index: I64, n: int) -> I64:
    """Return a one-to-one map of 0 .. n-1 onto itself, so that an id does not tell how popular its item or user is.

    >>> sorted(scramble(np.arange(5), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return (index * _SCRAMBLE + 12_345) % n


def pick(words: tuple[Any, ...], chosen: I64) -> list[Any]:
    """Return ``words[i]`` for each chosen i."""
    return [words[i] for i in chosen.tolist()]
