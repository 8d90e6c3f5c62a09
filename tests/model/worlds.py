"""A planted world for the model's tests: items of two tastes, users of one taste each."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.facts import ModelFacts
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.popularity import Popularity
from recsys_spark.model.kernels.tower import TowerShape
from recsys_spark.training.kernels.data import Catalogue, Data

N_ITEMS, TEXT_WIDTH = 40, 8


def catalogue(seed: int = 0) -> Catalogue:
    """Items 0 to 19 are of taste A, 20 to 39 of taste B, and the text vectors show it."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(2, TEXT_WIDTH), N_ITEMS // 2, axis=0)
    vectors = (centres + 0.3 * rng.normal(size=centres.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([f"i{k:02d}" for k in range(N_ITEMS)], dtype=object)
    return Catalogue(ids, vectors, np.ones(N_ITEMS, dtype=bool), Popularity(np.ones(N_ITEMS), np.ones(N_ITEMS)))


def histories(
    rows: list[list[int]],
    *,
    behaviours: list[list[int]] | None = None,
    weights: list[list[float]] | None = None,
    texts: dict[int, np.ndarray] | None = None,
    social: dict[int, list[int]] | None = None,
) -> Histories:
    """Users with the given items, oldest first, an hour apart."""
    texts, social = texts or {}, social or {}
    n = len(rows)
    text_matrix = np.zeros((n, TEXT_WIDTH), dtype=np.float32)
    for user, vector in texts.items():
        text_matrix[user] = vector
    flat = [item for row in rows for item in row]
    friends = [social.get(user, []) for user in range(n)]
    return Histories(
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64),
        user_ids=np.array([f"u{k}" for k in range(n)], dtype=object),
        items=np.array(flat, dtype=np.int64),
        behaviours=np.array([b for row in behaviours for b in row] if behaviours else [0] * len(flat), dtype=np.int64),
        times=np.array([3600.0 * k for row in rows for k in range(len(row))]),
        weights=np.array([w for row in weights for w in row] if weights else [1.0] * len(flat), dtype=np.float32),
        social_offsets=np.concatenate([[0], np.cumsum([len(row) for row in friends])]).astype(np.int64),
        social_items=np.array([item for row in friends for item in row], dtype=np.int64),
        social_weights=np.ones(sum(len(row) for row in friends), dtype=np.float32),
        texts=text_matrix,
        has_text=np.array([user in texts for user in range(n)], dtype=bool),
    )


def tasteful_users(n_users: int = 200, length: int = 6, seed: int = 1, n_used: int = 16) -> Histories:
    """Half the users like A, half like B; the last items of each taste, from ``n_used``, are never touched."""
    rng = np.random.default_rng(seed)
    half = N_ITEMS // 2
    rows = [list(rng.choice(n_used, size=length, replace=False) + half * (user % 2)) for user in range(n_users)]
    return histories(rows)


def data(
    users: Histories, *, world: Catalogue | None = None, behaviours: tuple[str, ...] = ("browse",), **changed: bool
) -> Data:
    """The data of a training on the planted world."""
    weights = [1.0] * len(behaviours)
    return Data(
        world or catalogue(),
        users,
        behaviours,
        weights,
        default_weight=1.0,
        half_life_days=30.0,
        max_history=10,
        **changed,
    )


def facts(**changed: Any) -> ModelFacts:
    """Facts of a small model."""
    known: dict[str, Any] = {
        "shape": TowerShape(4, TEXT_WIDTH, 1, 10, 1, 2, 0.0),
        "behaviours": ("browse",),
        "warm_item_ids": ("i1", "i2"),
        "choices": Choices(),
        "n_users": 9,
        "n_positions": 70,
        "first_time": 0.0,
        "last_time": 3600.0,
        "device": "cpu",
        "precision": "float32",
        "encoder_id": "enc-7",
    }
    return ModelFacts(**known | changed)
