"""Small worlds of the quality benchmark, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.quality import data as quality_data
from benchmarks.quality.data import Rows, World
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder


def world_of(rows: Sequence[tuple[int, int, float]], n_users: int = 3, n_items: int = 6) -> World:
    """Users u0.., items i0.., rows (user, item, time) of one behaviour."""
    user, item = (np.array([row[at] for row in rows], np.int64) for at in (0, 1))
    time, plain = np.array([row[2] for row in rows]), np.zeros(len(rows), np.int64)
    return replace(
        tiny_world(Encoder(model="none")),
        users=np.array([f"u{number}" for number in range(n_users)], object),
        items=np.array([f"i{number}" for number in range(n_items)], object),
        rows=Rows(user, item, time, plain, np.full(len(rows), np.nan)),
        titles=[None] * n_items,
        taggings=quality_data.NO_TAGGINGS,
        profile_taggings=quality_data.NO_TAGGINGS,
        friends=np.empty((0, 2), np.int64),
    )


def pairs(world: World) -> set[tuple[int, int]]:
    return set(zip(world.rows.user.tolist(), world.rows.item.tolist(), strict=True))
