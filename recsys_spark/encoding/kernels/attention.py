"""Attention without padding: ``softmax(q k^T / sqrt d) v`` within each text and head; texts lie one after the other.

A library makes one call per text and head. On texts of twenty tokens the calls take several times as
long as the products. So a compiled loop over products in registers computes short texts, and torch computes long ones.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf

from recsys_spark.encoding.kernels.small_products import LANES, ROWS, product_of_row, product_of_rows
from recsys_spark.encoding.kernels.threads import in_parts
from recsys_spark.numerics.arrays import F32, I64, Number, f32
from recsys_spark.numerics.loops import exp_below
from recsys_spark.numerics.machine_code import FUSED, compiled, inlined

SHORT = 128
"""Up to this number of tokens the loop is faster than torch's attention, for heads of width 32 and 64."""
LEAST_TEXTS = 4


def attend(qkv: F32, starts: I64, n_heads: int, out: F32) -> F32:
    """Return ``out``, filled with the heads' weighted means of values, float32 ``[t, h]``.

    ``qkv`` float32 ``[t, 3 h]`` contains query, key and value of each token side by side.
    Text i has the rows ``starts[i]`` to ``starts[i + 1]``.
    """
    lengths, width = np.diff(starts), out.shape[1] // n_heads
    longest = SHORT if width % LANES == 0 else 0
    if lengths.min() <= longest:
        most = min(int(lengths.max()), longest)
        in_parts(
            len(lengths),
            lambda first, stop: attend_short(qkv, starts[first : stop + 1], n_heads, most, out),
            LEAST_TEXTS,
        )
    for i in np.flatnonzero(lengths > longest):
        rows = slice(starts[i], starts[i + 1])
        q, k, v = torch.from_numpy(qkv[rows]).view(lengths[i], 3, n_heads, width).permute(1, 2, 0, 3)
        mixed = nnf.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        out[rows].reshape(lengths[i], n_heads, width)[:] = mixed.transpose(0, 1).numpy()
    return out


@inlined(FUSED)
def highest_into(highest: F32, scores: F32) -> None:
    """Write the largest of each column of float32 ``scores`` [n, w] into ``highest`` [w]."""
    for column in range(len(highest)):
        highest[column] = scores[0, column]
    for row in range(1, len(scores)):
        for column in range(len(highest)):
            highest[column] = max(highest[column], scores[row, column])


@inlined(FUSED)
def weights_into(scores: F32, scale: Number, highest: F32, totals: F32) -> None:
    """Replace each column of float32 ``scores`` [n, w] by softmax(scale * column).

    ``highest`` and ``totals`` [w] are scratch memory.
    """
    highest_into(highest, scores)
    totals[:] = f32(0.0)
    for row in range(len(scores)):
        exp_below(scores[row], highest, scale)
        for column in range(len(totals)):
            totals[column] += scores[row, column]
    for column in range(len(totals)):
        totals[column] = f32(1.0) / totals[column]
    for row in range(len(scores)):
        for column in range(len(totals)):
            scores[row, column] *= totals[column]


@inlined()
def multiply_rows(
    out: F32,
    o: int,
    o_row: int,
    n_rows: int,
    n_columns: int,
    a: F32,
    a0: int,
    a_row: int,
    a_step: int,
    b: F32,
    b0: int,
    b_row: int,
    n: int,
) -> None:
    """Compute ``out = a b``, [n_rows, n] by [n, n_columns], each in flat memory; n_columns is a multiple of LANES."""
    for column in range(0, n_columns, LANES):
        row = 0
        while row + ROWS <= n_rows:
            product_of_rows(
                out, o + row * o_row + column, o_row, a, a0 + row * a_row, a_row, a_step, b, b0 + column, b_row, n
            )
            row += ROWS
        while row < n_rows:
            product_of_row(
                out, o + row * o_row + column, o_row, a, a0 + row * a_row, a_row, a_step, b, b0 + column, b_row, n
            )
            row += 1


@compiled()
def attend_short(qkv: F32, starts: I64, n_heads: int, longest: int, out: F32) -> None:
    """Do :func:`attend` for the texts of at most ``longest`` tokens; rows of other texts stay unchanged.

    Scores are stored key by query. So maxima and sums of queries go across rows, a register of queries at a time.
    """
    h = out.shape[1]
    d = h // n_heads
    most = -(-longest // LANES) * LANES
    queries, scratch = np.zeros(d * most, f32), np.empty((2, most), f32)
    # In the order of memory the processor fetches ahead; head by head it would wait.
    text, weights = np.empty((longest, 3 * h), f32), np.empty(longest * most, f32)
    scale = f32(1.0 / np.sqrt(d))
    for i in range(len(starts) - 1):
        first, length = starts[i], starts[i + 1] - starts[i]
        if length > longest:
            continue
        filled = -(-length // LANES) * LANES
        scores = weights[: length * filled].reshape(length, filled)
        for row in range(length):
            for column in range(3 * h):
                text[row, column] = qkv[first + row, column]
        for head in range(n_heads):
            query = head * d
            key, value = query + h, query + 2 * h
            for j in range(length):
                for c in range(d):
                    queries[c * filled + j] = text[j, head * d + c]
            multiply_rows(scores, 0, filled, length, filled, text, key, 3 * h, 1, queries, 0, filled, d)
            weights_into(scores, scale, scratch[0, :filled], scratch[1, :filled])
            multiply_rows(out, first * h + head * d, h, length, d, scores, 0, 1, filled, text, value, 3 * h, length)
