"""Loops over a row that array operations cannot do in one pass, compiled by Numba.

The compiler may fuse and reorder loops (``contract``, ``reassoc``). The bits of a result then depend on its inputs and
on the kind of processor, never on other rows of the same call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys_spark.numerics.arrays import F32, F64, I64, Number, f32
from recsys_spark.numerics.instructions import times_two_to, widened
from recsys_spark.numerics.machine_code import FUSED, REORDERED, inlined

# exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2: the reduction and polynomial of Cephes' expf (Moshier),
# relative error below 1e-7. ln 2 comes in two parts so that r keeps its bits.
LOG2_E, ROUND = f32(1.44269504088896341), f32(12582912.0)
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)
C0, C1, C2 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
C3, C4, C5 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)
LANES = 16
"""Columns j, j + 16, j + 32 ... of a run are one group: 16 maxima at a time are one vector instruction."""
RUN = 128
"""Columns of a run; tiles are filled up to whole runs by the caller."""
ONE, UNDERFLOW = f32(1.0), f32(-87.0)
LOWEST = np.finfo(np.float32).min
"""Below every score but -inf."""


@inlined(FUSED)
def exp_of(x: Number) -> Number:
    """Return exp(x) in float32; where it is below e^-87, return 0."""
    clamped = max(x, UNDERFLOW)
    rounded = clamped * LOG2_E + ROUND
    n = rounded - ROUND
    r = clamped - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = C0 * r + C1
    p = p * r + C2
    p = p * r + C3
    p = p * r + C4
    p = p * r + C5
    p = p * (r * r) + r + ONE
    return times_two_to(p, rounded) if x > UNDERFLOW else f32(0.0)


@inlined(FUSED)
def exp_into(out: F32, logits: F32, bias: F32, scale: Number, highest: Number) -> None:
    """Compute out = exp((logits + bias - highest) * scale), all float32 [w]; below e^-87 it is 0.

    Where ``highest`` is the maximum of the sums, the largest result is exactly 1, however large the sums are.
    """
    for j in range(len(out)):
        x = (widened(logits[j]) + bias[j] - highest) * scale
        out[j] = exp_of(x)


@inlined(FUSED)
def exp_below(values: F32, highest: F32, scale: Number) -> None:
    """Compute values = exp((values - highest) * scale) in place, all float32 [w], as :func:`exp_into`.

    ``values`` are at most ``highest``.
    """
    for j in range(len(values)):
        x = (values[j] - highest[j]) * scale
        values[j] = exp_of(x)


@inlined(REORDERED)
def total_of(values: F32) -> Number:
    """Return the sum of float32 [w]."""
    total = f32(0.0)
    for j in range(len(values)):
        total += values[j]
    return total


@inlined(REORDERED)
def highest_of(logits: F32, bias: F32) -> Number:
    """Return max(logits + bias), float32 [w]."""
    highest = f32(-np.inf)
    for j in range(len(logits)):
        value = widened(logits[j]) + bias[j]
        highest = value if value > highest else highest
    return highest


@inlined(FUSED)
def group_maxima(maxima: F32, scores: F32) -> None:
    """Write the largest of each group of float32 ``scores`` [r * RUN].

    Group 16 r + l has the columns 128 r + l, + 16, + 32 ...
    """
    for run in range(len(scores) // RUN):
        for lane in range(LANES):
            highest = scores[run * RUN + lane]
            for step in range(LANES, RUN, LANES):
                score = scores[run * RUN + step + lane]
                highest = score if score > highest else highest
            maxima[run * LANES + lane] = highest


@inlined(FUSED)
def n_reaching(values: F32, bound: Number) -> int:
    """Return how many of float32 ``values`` are at least ``bound``."""
    count = np.int32(0)
    for j in range(len(values)):
        count += np.int32(values[j] >= bound)
    return int(count)


@inlined(REORDERED)
def least_reaching(values: F32, bound: Number) -> Number:
    """Return the smallest of float32 ``values`` that are at least ``bound``; infinity where there is none."""
    least = f32(np.inf)
    for j in range(len(values)):
        value = values[j] if values[j] >= bound else f32(np.inf)
        least = value if value < least else least
    return least


@inlined(REORDERED)
def largest(values: F32) -> Number:
    """Return the largest of float32 ``values``."""
    most = f32(-np.inf)
    for j in range(len(values)):
        most = values[j] if values[j] > most else most
    return most


@inlined()
def nth_largest(values: F32, n: int) -> Number:
    """Return the n-th largest (from 1) of float32 ``values``, -inf where fewer than n are larger than that.

    Halves the range of values instead of partitioning them. Counting takes sixteen values at a time, and its branches
    are predictable. It was twice as fast as quickselect on the few hundred values of a shortlist.
    """
    low: Number = LOWEST
    high = largest(values)
    if n_reaching(values, low) < n:
        return f32(-np.inf)
    low = max(low, least_reaching(values, low))
    if n_reaching(values, high) >= n:
        return high
    while True:  # at least n reach low, fewer reach high
        middle = f32(0.5) * low + f32(0.5) * high
        if not low < middle < high:
            return low
        count = n_reaching(values, middle)
        if count == n:
            return least_reaching(values, middle)
        if count > n:
            low = middle
        else:
            high = middle


@inlined()
def order_of(falling: F64, rising: I64) -> I64:
    """Return the order of int64 [n] by (falling desc, rising asc).

    Shell's sort, because NumPy's sorts take Numba a second and a half to compile.
    """
    size = len(rising)
    order = np.empty(size, np.int64)
    for k in range(size):
        order[k] = k
    gap = 1
    while gap < size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(gap, size):
            moved, at = order[k], k
            while at >= gap:
                other = order[at - gap]
                if falling[other] > falling[moved]:
                    break
                if falling[other] == falling[moved] and rising[other] <= rising[moved]:
                    break
                order[at] = other
                at -= gap
            order[at] = moved
        gap //= 3
    return order


def below(score: Any, slack: Any) -> Any:
    """Return float32 below ``score - slack`` of numbers or arrays, whatever the rounding errors of this line."""
    return f32(score - slack - abs(score) * 2.0**-22)


lowered = inlined()(below)
"""The same on numbers, for compiled code."""
