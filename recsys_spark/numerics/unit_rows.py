"""Rows of length 1, in NumPy and compiled.

The two differ in the last bit: one divides by the norm, the other multiplies by its inverse.
"""

from __future__ import annotations

import numpy as np

from recsys_spark.numerics.arrays import F32, F64
from recsys_spark.numerics.machine_code import compiled


def unit_rows(vectors: F32) -> F32:
    """Return each row divided by its norm, float32 ``[n, d]``; a zero row stays zero.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # In double precision, so that the square of a large or tiny component neither overflows nor vanishes.
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1.0)).astype(np.float32)


@compiled()
def row_norms(v: F32) -> F64:
    """Return the Euclidean norms of the rows in float64, ``[n]``.

    >>> row_norms(np.array([[3, 4], [0, 0]], np.float32))
    array([5., 0.])
    """
    norms = np.empty(len(v))
    for i in range(len(v)):
        total = 0.0
        for k in range(v.shape[1]):
            total += np.float64(v[i, k]) ** 2
        norms[i] = np.sqrt(total)
    return norms


@compiled()
def rows_over_norms(v: F32, norm: F64) -> F32:
    """Return each row multiplied by the inverse of its norm, float32 ``[n, d]``; a zero row stays zero.

    >>> rows_over_norms(np.array([[3, 4], [0, 0]], np.float32), np.array([5.0, 0.0]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    unit = np.empty(v.shape, np.float32)
    for i in range(len(v)):
        inverse = 1 / norm[i] if norm[i] > 0 else 0.0
        for k in range(v.shape[1]):
            unit[i, k] = v[i, k] * inverse
    return unit
