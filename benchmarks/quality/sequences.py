"""Rivals that read a history in its order: SASRec and BERT4Rec of RecTools.

RecTools is not part of the extra `bench`: for Python 3.11 its metadata ask for numpy below 2 and for a fork that
overwrites `implicit`. `make bench-quality` installs it by benchmarks/quality/rectools.txt without dependencies.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.quality.data import World
from benchmarks.quality.methods import Fitted, Method, Settings, Train
from recsys_spark.numerics.arrays import F32, I64

MIN_BATCH, MAX_BATCH, BATCHES = 16, 128, 40
INSTALL = "pip install --no-deps -r benchmarks/quality/rectools.txt"


class MissingRecToolsError(ImportError):
    """What these two need is not installed."""


def fit_sequence(name: str, train: Train, settings: Settings) -> Fitted:
    """Fit a softmax over the whole catalogue, two blocks, the last 50 items. Raises MissingRecToolsError.

    Kang and McAuley 2018, "Self-attentive sequential recommendation"; Sun et al. 2019, "BERT4Rec".
    """
    try:
        from benchmarks.quality import rectools
    except ImportError as error:
        raise MissingRecToolsError(f"{name} needs RecTools ({error}): {INSTALL}") from error
    world = train.world
    n_users = len(np.unique(world.rows.user))
    model = rectools.train(name, world, settings, batch_of(n_users), train.n_threads)
    users, of_users, items, of_items = rectools.vectors(model, world)
    row = np.full(world.n_users, -1)
    row[users] = np.arange(len(users))
    return Fitted(lambda asked: logits(of_users[row[asked]], of_items, items, world.n_items), row >= 0)


def batch_of(n_users: int) -> int:
    """Return the users per step: few of few users, so that a pass has more than five steps.

    >>> batch_of(100), batch_of(2_000), batch_of(90_000)
    (16, 50, 128)
    """
    return min(max(MIN_BATCH, n_users // BATCHES), MAX_BATCH)


def logits(of_users: F32, of_items: F32, items: I64, n_items: int) -> F32:
    """Return [B, n_items]; items that the network was not trained on come after all others.

    >>> one = np.ones((1, 1), np.float32)
    >>> logits(one, np.array([[-2.0], [3.0]], np.float32), np.array([0, 2]), 4).tolist()
    [[-2.0, -3.0, 3.0, -3.0]]
    """
    known = of_users @ of_items.T
    found = np.repeat(known.min(1, keepdims=True) - 1.0, n_items, axis=1)
    found[:, items] = known
    return found


def _has_order(world: World) -> bool:
    return world.has_order


SEQUENCES = tuple(
    Method(name, partial(fit_sequence, name), [{**settings, "dropout": 0.2} for settings in grid], _has_order)
    for name, grid in {
        "SASRec": (
            {"width": 64, "updates": 4_000},
            {"width": 64, "updates": 1_000},
            {"width": 128, "updates": 2_000},
        ),
        # It learns from the masked items alone, so it needs more steps, or more masks.
        "BERT4Rec": (
            {"width": 64, "updates": 6_000, "masked": 0.5},
            {"width": 64, "updates": 3_000, "masked": 0.2},
            {"width": 128, "updates": 3_000, "masked": 0.5},
        ),
    }.items()
)
