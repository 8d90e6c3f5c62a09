"""The predictions of a batch: pairs of a user vector and a later behaviour, and which behaviours may be targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from recsys_spark.model.kernels.histories import Histories, first_choices
from recsys_spark.numerics.arrays import I64, Bools
from recsys_spark.training.kernels.loss import Boosts


@dataclass(frozen=True)
class Predictions:
    """m pairs of a user vector and a later behaviour."""

    x: Tensor
    """[m, d]"""
    target: Tensor
    """[m] row among the warm items"""
    weight: Tensor
    """[m] positive, sums to 1"""
    slices: I64
    """[m] slice of time of the later behaviour"""
    boosts: Boosts
    """additions of the links of the behaviours so far to the logits; none to items unknown when the slice began"""


def may_be_asked(histories: Histories, predict_repeats: bool) -> Bools:
    """Return whether each behaviour may be the target of a prediction, [n].

    A behaviour that comes after another one may be. Unless repeats are predicted, it must be the user's first on the
    item. All behaviours of users with tags or friends may be: the start token predicts them.

    Behaviours of one instant have no order. So if others have its instant, the first one may be a later one, too.
    """
    lengths, n = histories.lengths, len(histories.items)
    user = np.repeat(np.arange(histories.n_users), lengths)
    starts = histories.offsets[:-1][user]
    alone = np.zeros(n, bool)
    firsts = histories.offsets[:-1][lengths > 1]
    alone[firsts] = histories.times[firsts] != histories.times[firsts + 1]
    asked = (np.arange(n) > starts) | ((lengths > 1)[user] & ~alone)
    if not predict_repeats:
        asked &= first_choices(histories)
    return asked | (histories.has_text | histories.has_social)[user]
