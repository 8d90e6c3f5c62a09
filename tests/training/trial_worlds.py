"""Shared by the tests of the trial run: users over time, a recommender with given logits, and its held-out users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.links import Evidence
from recsys_spark.model.kernels.recommender import ItemVectors
from recsys_spark.training.kernels.asked import Asked
from recsys_spark.training.kernels.data import Catalogue
from recsys_spark.training.kernels.held_out import HeldOut
from tests.model.worlds import catalogue, histories, tasteful_users

DAY = 86_400.0


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def users_over_time(n_users: int = 60) -> Histories:
    """Each user acts on ten days, spread over a hundred."""
    users = tasteful_users(n_users, length=10)
    times = np.array([(10.0 * k + user % 10) * DAY for user in range(n_users) for k in range(10)])
    return replace(users, times=times)


class Fixed:
    """A recommender whose logits are given per user."""

    def __init__(self, logits: np.ndarray, boosts: np.ndarray | None = None) -> None:
        self.logits, self.boosts = logits, np.zeros_like(logits) if boosts is None else boosts

    def item_vectors(self, *_: object) -> ItemVectors:
        n = self.logits.shape[1]
        return ItemVectors(
            np.zeros((n, 1)),
            np.zeros((n, n), np.float32),
            np.eye(n, dtype=np.float32),
            np.zeros(n, np.float32),
            np.arange(n),
        )

    def user_boosts(self, asked: Histories, _: object) -> Evidence:
        rows = self.boosts[[int(u[1:]) for u in asked.user_ids]]
        row, item = rows.nonzero()
        return Evidence(row, item, rows[row, item].astype(np.float32))

    def user_vectors(self, asked: Histories, _: object) -> np.ndarray:
        return self.logits[[int(u[1:]) for u in asked.user_ids]]


def asked(rows: list[list[int]], truth: list[list[int]]) -> HeldOut:
    users = histories(rows)
    row = np.repeat(np.arange(len(truth)), [len(one) for one in truth])
    return HeldOut(users, 0.0, users, row, np.array([i for one in truth for i in one]), False)


def seen_by(recommender: Fixed, held: HeldOut, world: Catalogue | None = None) -> Asked:
    return Asked(held, recommender, world or catalogue())  # type: ignore[arg-type]
