"""What a batch of histories predicts: pairs of a user vector and a later behaviour, and which behaviours may be asked for."""

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
    """what the links of the behaviours so far add to the logits; none to items unknown when the slice began"""


def may_be_asked(histories: Histories, predict_repeats: bool) -> Bools:
    """Behaviours [n] that some prediction may have as its target: what comes after another one, as far as it is the user's first choice of the item
    unless repeats are predicted, and all of users with tags or friends, which the start token is asked for.

    Behaviours of one instant have no order, so with others at its instant the first one may be a later one, too.
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
