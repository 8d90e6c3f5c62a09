"""Rows of length 1: huge, tiny and zero rows, by either function."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.numerics.arrays import F32
from recsys_spark.numerics.unit_rows import row_norms, rows_over_norms, unit_rows


def by_norms(vectors: F32) -> F32:
    return rows_over_norms(vectors, row_norms(vectors))


@pytest.mark.parametrize("function", [unit_rows, by_norms])
def test_huge_and_tiny_rows_get_length_1_and_a_zero_row_stays_zero(function: object) -> None:
    rows = np.array([[3e30, 4e30], [3e-30, 4e-30], [0, 0]], np.float32)
    np.testing.assert_allclose(function(rows), [[0.6, 0.8], [0.6, 0.8], [0, 0]], rtol=1e-6)  # type: ignore[operator]
