"""Whether a method's P is worth reading as a probability: two events of each user's next item, in reliability bins.

*top-1*: the next item is the one of the largest P. *top-10 mass*: it is among the ten of the largest P, predicted by their sum.
The next item is the first of a user's truth by time; lists have w_cos * cos in their score too, the items here are by P alone.

Each event is looked at in two ways:

- CATALOGUE, the main one: P as it is given, over all items. The truth has no item that the user had touched before the cut
  (quality_split.py), and neither have the targets of training, which are first occurrences where `predict_repeats` is false, as
  it is here; the softmax runs over the touched items all the same, and the temperature is chosen so. The model is thus to give
  touched items nothing, what it does give them is an error of its own, and this way shows it. It is also the P of the output.
- UNSEEN: P renormalised over what the user has not touched, which is what a list without touched items is drawn from.

Training draws its target from the next `target_window` behaviours rather than the very next, so P is of a moment a little later.
A temperature other than 1 comes of a trial run (`model.trial_epochs`), and the push that a trial gives cold items comes after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from benchmarks.common.ledger import Row
from benchmarks.quality.data import Doubles, Longs, Mask
from benchmarks.quality.methods import Fitted
from benchmarks.quality.metrics import BLOCK_SCORES, COLD_USERS, OVERALL, K, Score, cold_of, ranks
from benchmarks.quality.split import Split
from recsys_spark.evaluation.kernels.calibration import chance, reliability

CALIBRATION = "calibration"
TOP_1, TOP_MASS = "top-1", f"top-{K} mass"
CATALOGUE, UNSEEN = "whole catalogue", "unseen items"


@dataclass(frozen=True)
class Events:
    """What was said of n users' next items, and what came."""

    event: str
    """TOP_1 or TOP_MASS"""
    items: str
    """CATALOGUE or UNSEEN"""
    p: Doubles
    """[n] predicted"""
    happened: Mask
    """[n]"""


def calibration_rows(fitted: Fitted, split: Split, **facts: object) -> list[Row]:
    """A row for each event and way, with its bins; ``facts`` go into each. None where the method gives no probabilities.

    Users are those of the main segment: with a history, or without one where whole users were hidden; those that the method
    knows nothing of get no P. `ece_chance` and `ece_chance_high` are what a calibrated model with the same P would show.
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
    """The error, what chance gives, and the bins."""
    bins, by_chance = reliability(events.p, events.happened), chance(events.p)
    return {
        "event": events.event, "items": events.items, "ece": bins.ece, "gap": bins.gap,
        "ece_chance": by_chance.ece, "ece_chance_high": by_chance.ece_high,
        "mean_p": float(events.p.mean()), "share": float(events.happened.mean()),
        "bins": {
            "count": bins.count.tolist(), "predicted": bins.predicted.tolist(), "observed": bins.observed.tolist(),
            "low": by_chance.low.tolist(), "high": by_chance.high.tolist(),
        },
    }  # fmt: skip


def next_item_events(log_prob: Score, split: Split, users: Longs, items: Longs) -> Iterator[Events]:
    """Four Events of ``users`` [n], whose next ``items`` are [n]. Raises ValueError where P does not sum to 1."""
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


def largest(log_p: Doubles, k: int) -> Doubles:
    """[n] sum of the ``k`` largest probabilities of each row, at most 1.

    >>> largest(np.log([[0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]), 2).round(3).tolist()
    [0.9, 0.75]
    """
    n_items = log_p.shape[1]
    some = np.partition(log_p, n_items - k, axis=1)[:, n_items - k :] if k < n_items else log_p
    # Rounding may lift a sum above 1, which no probability is.
    total: Doubles = np.minimum(np.exp(some).sum(1), 1.0)
    return total
