"""The passes between a transformer's matrix products, compiled by Numba: each reads a row once, in cache.

In float32 a pass is given a product without its bias. In int8:

A row x of activations is quantised by its own range (dynamic, asymmetric): ``x_k ~ middle + step * q_k`` with q from
-128 to 127. A weight matrix W is quantised per output channel (symmetric): ``W_nk ~ steps_n * w_nk``.
With ``acc = q . w`` in int32,

    (W x)_n ~ step * steps_n * acc_n + middle * sums_n,    sums_n = steps_n * sum_k w_nk

which is exact up to the rounding of q and w. (Jacob et al. 2018, arXiv:1712.05877; per row and channel as in LLM.int8,
Dettmers et al. 2022, arXiv:2208.07339.) The bits of a row's result depend only on that row.
"""

from __future__ import annotations

import numpy as np

from recsys_spark.numerics.arrays import F32, I8, I32, Number, f32
from recsys_spark.numerics.loops import ROUND
from recsys_spark.numerics.machine_code import FUSED, REORDERED, compiled, inlined

LEVELS, LOWEST_LEVEL = f32(255.0), f32(128.0)
HALF, ONE, ROOT_HALF = f32(0.5), f32(1.0), f32(0.70710678118654752)

# erf(x) = x P(x^2) / Q(x^2) for |x| <= 4, beyond which it is 1 in float32: the minimax approximation of Eigen's erf.
ERF_END = f32(4.0)
P0, P1, P2, P3 = (
    f32(-1.60960333262415e-02),
    f32(-2.95459980854025e-03),
    f32(-7.34990630326855e-04),
    f32(-5.69250639462346e-05),
)
P4, P5, P6 = f32(-2.10102402082508e-06), f32(2.77068142495902e-08), f32(-2.72614225801306e-10)
Q0, Q1, Q2, Q3 = (
    f32(-1.42647390514189e-02),
    f32(-7.37332916720468e-03),
    f32(-1.68282697438203e-03),
    f32(-2.13374055278905e-04),
)
Q4 = f32(-1.45660718464996e-05)


@inlined(FUSED)
def gelu(x: Number) -> Number:
    """Return x * (1 + erf(x / sqrt 2)) / 2 in float32, with an error below 1e-6."""
    z = min(max(x * ROOT_HALF, -ERF_END), ERF_END)
    y = z * z
    p = P6 * y + P5
    p = p * y + P4
    p = p * y + P3
    p = p * y + P2
    p = p * y + P1
    p = p * y + P0
    q = Q4 * y + Q3
    q = q * y + Q2
    q = q * y + Q1
    q = q * y + Q0
    return HALF * x * (ONE + z * p / q)


@inlined(REORDERED)
def range_of(row: F32) -> tuple[Number, Number]:
    """Return the smallest and the largest of float32 [k]."""
    low, high = row[0], row[0]
    for k in range(len(row)):
        low = min(low, row[k])
        high = max(high, row[k])
    return low, high


@inlined(FUSED)
def quantise_into(out: I8, row: F32, low: Number, high: Number) -> tuple[Number, Number]:
    """Write int8 [k] of float32 [k] whose range is given; return (step, middle)."""
    step = (high - low) / LEVELS
    per_step = ONE / step if step > f32(0.0) else f32(0.0)
    for k in range(len(row)):
        # Adding 1.5 * 2^23 rounds to the nearest integer, here of 0..255.
        out[k] = np.int8(np.int32((row[k] - low) * per_step + ROUND - ROUND - LOWEST_LEVEL))
    return step, low + LOWEST_LEVEL * step


@inlined(FUSED)
def scaled_into(out: F32, acc: I32, step: Number, middle: Number, steps: F32, sums: F32, bias: F32) -> None:
    """Write one row of a product in float32, bias added; all [n]."""
    for n in range(len(out)):
        out[n] = f32(acc[n]) * (step * steps[n]) + (middle * sums[n] + bias[n])


# Each pass computes the rows ``first`` to ``stop``, so that several threads can share it.


@compiled()
def quantise_rows(x: F32, q: I8, step: F32, middle: F32, first: int, stop: int) -> None:
    """Quantise float32 ``x`` into int8 ``q``, both [t, k], with step and middle [t]."""
    for t in range(first, stop):
        low, high = range_of(x[t])
        step[t], middle[t] = quantise_into(q[t], x[t], low, high)


@compiled()
def product_rows(
    acc: I32, step: F32, middle: F32, steps: F32, sums: F32, bias: F32, out: F32, first: int, stop: int
) -> None:
    """Write the product int32 ``acc`` [t, n] into float32 ``out``."""
    for t in range(first, stop):
        scaled_into(out[t], acc[t], step[t], middle[t], steps, sums, bias)


@inlined(FUSED)
def gelu_row(row: F32) -> None:
    """Apply GELU to float32 [n] in place."""
    for n in range(len(row)):
        row[n] = gelu(row[n])


@compiled(FUSED)
def bias_gelu_rows(product: F32, bias: F32, first: int, stop: int) -> None:
    """Compute product = GELU(product + bias), float32 [t, n]."""
    for t in range(first, stop):
        row = product[t]
        for n in range(len(bias)):
            row[n] = gelu(row[n] + bias[n])


@compiled()
def gelu_rows(
    acc: I32,
    step: F32,
    middle: F32,
    steps: F32,
    sums: F32,
    bias: F32,
    q: I8,
    q_step: F32,
    q_middle: F32,
    first: int,
    stop: int,
) -> None:
    """Write GELU of the product int32 ``acc`` [t, n], quantised, into ``q`` [t, n] with its steps and middles [t]."""
    row = np.empty(acc.shape[1], np.float32)
    for t in range(first, stop):
        scaled_into(row, acc[t], step[t], middle[t], steps, sums, bias)
        gelu_row(row)
        low, high = range_of(row)
        q_step[t], q_middle[t] = quantise_into(q[t], row, low, high)


@inlined(REORDERED)
def norm_row(row: F32, residual: F32, gain: F32, shift: F32, epsilon: Number) -> None:
    """Compute residual = LayerNorm(row + residual), float32 [n]; ``row`` is scratch memory."""
    n = len(row)
    total = f32(0.0)
    for k in range(n):
        row[k] += residual[k]
        total += row[k]
    mean = total / f32(n)
    squares = f32(0.0)
    for k in range(n):
        row[k] -= mean
        squares += row[k] * row[k]
    scale = ONE / np.sqrt(squares / f32(n) + epsilon)
    for k in range(n):
        residual[k] = row[k] * scale * gain[k] + shift[k]


@compiled(FUSED)
def bias_norm_rows(
    product: F32, bias: F32, gain: F32, shift: F32, epsilon: Number, x: F32, first: int, stop: int
) -> None:
    """Compute x = LayerNorm(x + product + bias), float32 [t, n]; ``product`` is scratch memory."""
    for t in range(first, stop):
        row = product[t]
        for n in range(len(bias)):
            row[n] += bias[n]
        norm_row(row, x[t], gain, shift, epsilon)


@compiled()
def norm_rows(
    acc: I32,
    step: F32,
    middle: F32,
    steps: F32,
    sums: F32,
    bias: F32,
    gain: F32,
    shift: F32,
    epsilon: Number,
    x: F32,
    first: int,
    stop: int,
) -> None:
    """Compute x = LayerNorm(x + product) [t, n] in place, for a product int32 ``acc``."""
    row = np.empty(acc.shape[1], np.float32)
    for t in range(first, stop):
        scaled_into(row, acc[t], step[t], middle[t], steps, sums, bias)
        norm_row(row, x[t], gain, shift, epsilon)
