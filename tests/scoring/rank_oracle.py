"""The combined rank of every user and item by brute force in float64: the oracle of all forms, without their code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.numerics.arrays import F64, I64
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.sizes import NO_ITEM


class Terms(NamedTuple):
    """[m, n] each, and [m] ``log_z``."""

    cosine: F64
    logit: F64
    raw: F64
    log_z: F64

    @property
    def log_prob(self) -> F64:
        return self.logit - self.log_z[:, None]

    def score(self, rank: Rank) -> F64:
        return rank.w_cos * self.cosine + rank.w_ce * self.log_prob


def terms_of(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    theta: NDArray[np.floating],
    bias: NDArray[np.floating],
    rank: Rank,
    boost: NDArray[np.floating] | float = 0.0,
) -> Terms:
    """Of users ``x`` [m, d] and items ``y``, ``theta`` [n, d], ``bias`` [n], with ``boost`` [m, n] on the logits."""
    x, y, theta, bias = (np.asarray(v, np.float64) for v in (x, y, theta, bias))
    logit = np.array([(row * theta).sum(1) for row in x]).reshape(len(x), len(y)) + bias + np.asarray(boost, np.float64)
    logit = logit * rank.scale
    norms = np.sqrt((x**2).sum(1))[:, None] * np.sqrt((y**2).sum(1))
    dots = np.array([(row * y).sum(1) for row in x]).reshape(len(x), len(y))
    cosine = np.clip(np.divide(dots, norms, out=np.zeros_like(norms), where=norms > 0), -1, 1)
    top = logit.max(1)
    log_z = top + np.log(np.exp(logit - top[:, None]).sum(1))
    return Terms(cosine, logit, rank.w_cos * cosine + rank.w_ce * logit, log_z)


def best_of(values: F64, closed: NDArray[np.bool_], n: int) -> I64:
    """[m, n] the columns of the largest ``values`` that are not ``closed``, ties by column; NO_ITEM behind the last."""
    values = np.where(closed, -np.inf, values)
    order = np.argsort(-values, axis=1, kind="stable")[:, :n]
    position = np.full((len(values), n), NO_ITEM)
    position[:, : order.shape[1]] = np.where(np.take_along_axis(values, order, 1) > -np.inf, order, NO_ITEM)
    return position
