"""Whether a method's P is worth reading as a probability: two events of each user's next item, in reliability bins.

*top-1*: the next item has the largest P. *top-10 mass*: it is among the ten of the largest P, predicted by their sum.

The next item is the first of a user's truth by time. Lists have w_cos * cos in their score, too; here items are
ordered by P alone.

Each event is looked at in two ways:

- CATALOGUE, the main one: P as it is given, over all items, which is also the P of the output. The truth has no item
  that the user had touched before the cut (split.py). Training has none either: with `predict_repeats` false, as
  here, it learns first occurrences only. The softmax and the choice of the temperature include touched items all the
  same. So P of a touched item should be 0, what the model gives it is an error, and this way shows that error.
- UNSEEN: P renormalised over what the user has not touched, which is what a list without touched items is drawn from.

Training learns to predict one of the next `target_window` behaviours rather than the very next, so P is of a moment a
little later. A temperature other than 1 comes from a trial run (`model.trial_epochs`). The push that a trial gives cold
items is applied after the temperature is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from benchmarks.common.ledger import Row
from benchmarks.quality.methods import Fitted
from benchmarks.quality.metrics import BLOCK_SCORES, COLD_USERS, OVERALL, K, Score, cold_of, ranks
from benchmarks.quality.split import Split
from recsys_spark.evaluation.kernels.calibration import chance, reliability
from recsys_spark.numerics.arrays import F64, I64, Bools

CALIBRATION = "calibration"
TOP_1, TOP_MASS = "top-1", f"top-{K} mass"
CATALOGUE, UNSEEN = "whole catalogue", "unseen items"


@dataclass(frozen=True)
class Events:
    """What was predicted of n users' next items, and what came."""

    event: str
    """TOP_1 or TOP_MASS"""
    items: str
    """CATALOGUE or UNSEEN"""
    p: F64
    """[n] predicted"""
    happened: Bools
    """[n]"""


def calibration_rows(fitted: Fitted, split: Split, **facts: object) -> list[Row]:
    """Return a row for each event and way, with its bins; ``facts`` go into each.

    A method that gives no probabilities has no row. Users are those of the main segment: users with a history, or users
    without one if whole users were hidden. Users that the method knows nothing of get no P. `ece_chance` and
    `ece_chance_high` are what a calibrated model with the same P would show.
    """
    if fitted.log_prob is None:
        return []
    users, items = split.next_items()
    cold = cold_of(split)[1][users]
    segment = COLD_USERS if cold.all() else OVERALL
    asked = fitted.serves[users] & (cold if segment == COLD_USERS else ~cold)
    if not asked.any():
        return []
    return [
        {"kind": CALIBRATION, **facts, "segment": segment, "n_users": int(asked.sum()), **figures(events)}
        for events in next_item_events(fitted.log_prob, split, users[asked], items[asked])
    ]


def figures(events: Events) -> Row:
    """Return the error, what chance gives, and the bins."""
    bins, by_chance = reliability(events.p, events.happened), chance(events.p)
    columns = {"count": bins.count, "predicted": bins.predicted, "observed": bins.observed}
    columns |= {"low": by_chance.low, "high": by_chance.high}
    return {
        "event": events.event,
        "items": events.items,
        "ece": bins.ece,
        "gap": bins.gap,
        "ece_chance": by_chance.ece,
        "ece_chance_high": by_chance.ece_high,
        "mean_p": float(events.p.mean()),
        "share": float(events.happened.mean()),
        "bins": {name: column.tolist() for name, column in columns.items()},
    }


def next_item_events(log_prob: Score, split: Split, users: I64, items: I64) -> Iterator[Events]:
    """Return four Events of ``users`` [n], whose next ``items`` are [n]. Raises ValueError if P does not sum to 1."""
    n, step = len(users), max(1, BLOCK_SCORES // max(1, split.train.n_items))
    p = {(event, way): np.empty(n) for way in (CATALOGUE, UNSEEN) for event in (TOP_1, TOP_MASS)}
    happened = {key: np.empty(n, bool) for key in p}
    for start in range(0, n, step):
        part = slice(start, start + step)
        given = np.array(log_prob(users[part]), np.float64)
        total = logsumexp(given, axis=1)
        # NaN compares false.
        if not (np.abs(total) < 1e-6).all():
            raise ValueError(f"probabilities that sum to {np.exp(total[~(np.abs(total) < 1e-6)][0])}, expected 1")
        unseen = given.copy()
        unseen[split.train.matrix[users[part]].nonzero()] = -np.inf
        unseen -= logsumexp(unseen, axis=1, keepdims=True)
        for way, log_p in ((CATALOGUE, given), (UNSEEN, unseen)):
            # Ties by item id, as in every list.
            rank = ranks(log_p, np.arange(len(log_p)), items[part])
            for event, k in ((TOP_1, 1), (TOP_MASS, K)):
                p[event, way][part] = largest(log_p, k)
                happened[event, way][part] = rank <= k
    return (Events(event, way, p[event, way], happened[event, way]) for event, way in p)


def largest(log_p: F64, k: int) -> F64:
    """Return [n]: the sum of the ``k`` largest probabilities of each row, at most 1.

    >>> largest(np.log([[0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]), 2).round(3).tolist()
    [0.9, 0.75]
    """
    n_items = log_p.shape[1]
    some = np.partition(log_p, n_items - k, axis=1)[:, n_items - k :] if k < n_items else log_p
    # Rounding may lift a sum above 1, which no probability is.
    total: F64 = np.minimum(np.exp(some).sum(1), 1.0)
    return total
