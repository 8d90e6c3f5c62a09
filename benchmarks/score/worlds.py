"""Random vectors for the scoring benchmark, as arrays and as Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_spark.numerics.arrays import F32

WIDTH = 64
SEEN = 20
"""Items of each user that are excluded, if any are."""


@dataclass(frozen=True)
class World:
    """``x`` [m, d], ``y``, ``theta`` [n, d]: normal, scaled so that logits deviate as a trained model's do (1.2)."""

    x: F32
    y: F32
    theta: F32

    @staticmethod
    def draw(n_users: int, n_items: int, seed: int = 0) -> World:
        """Draw a world, the same for a seed."""
        rng = np.random.default_rng(seed)
        return World(
            rng.standard_normal((n_users, WIDTH), dtype=np.float32) * np.float32(0.5),
            rng.standard_normal((n_items, WIDTH), dtype=np.float32),
            rng.standard_normal((n_items, WIDTH), dtype=np.float32) * np.float32(0.3),
        )

    @property
    def joined_users(self) -> F32:
        """[x / |x|, x], [m, 2d]: the inner product with :attr:`joined_items` is cosine + logit."""
        return np.concatenate([self.x / np.linalg.norm(self.x, axis=1, keepdims=True), self.x], axis=1)

    @property
    def joined_items(self) -> F32:
        """[y / |y|, theta], [n, 2d]."""
        return np.concatenate([self.y / np.linalg.norm(self.y, axis=1, keepdims=True), self.theta], axis=1)

    @staticmethod
    def seen(n_users: int, n_items: int, seed: int = 1) -> pa.Table:
        """Return (user_id, item_id): SEEN items of each user, some of them twice."""
        items = np.random.default_rng(seed).integers(0, n_items, n_users * SEEN)
        users = np.repeat(np.arange(n_users), SEEN)
        return pa.table({"user_id": [f"u{i:07}" for i in users], "item_id": [f"i{j:07}" for j in items]})

    def write(self, folder: Path) -> None:
        """Write users.parquet and items.parquet as USER_VECTORS and ITEM_VECTORS."""
        folder.mkdir(parents=True, exist_ok=True)
        m, n = len(self.x), len(self.y)
        users = {"user_id": [f"u{i:07}" for i in range(m)], "x": _lists(self.x), "source": ["history"] * m}
        items = {
            "item_id": [f"i{j:07}" for j in range(n)],
            "y": _lists(self.y),
            "theta": _lists(self.theta),
            "bias": np.zeros(n, np.float32),
            "available": [True] * n,
        }
        for name, columns in (("users", users), ("items", items)):
            table = pa.table(columns)
            # Four row groups, so that two cores have something to share.
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=max(1, len(table) // 4))

    def write_factors(self, folder: Path) -> None:
        """Write userFactors.parquet and itemFactors.parquet, ALS's of the same sizes."""
        for name, factors in (("userFactors", self.x), ("itemFactors", self.theta)):
            table = pa.table({"id": pa.array(np.arange(len(factors), dtype=np.int32)), "features": _lists(factors)})
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=max(1, len(table) // 4))


def _lists(matrix: F32) -> pa.Array:
    offsets = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)))
