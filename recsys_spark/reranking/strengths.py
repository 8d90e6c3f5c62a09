"""The strength with which each behaviour, the tags or the friends of a user speak for an item.

The strength of a reason is the combined rank that the item would get from a user who had only that one behaviour (or
only the tags, or only the friends). A behaviour's strength also has gamma x log(weight), the prior by which the tower's
attention lowers old and light behaviours. This takes one forward pass per distinct (item, behaviour) of a batch, then
small products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.arrays import F32, F64, I64
from recsys_spark.scoring.kernels.rank import Rank, combined


@dataclass(frozen=True)
class PartVectors:
    """The vectors of a batch of users if only one part of their data were known."""

    history: F32
    """[total, d] x of a user with only this behaviour; rows as in ``Histories.items``"""
    history_prior: F64
    """[total] gamma x log(weight / largest weight of the user)"""
    text: F32
    """[n, d] x of a user with only the interest tags"""
    social: F32
    """[n, d] x of a user with only the neighbours' items"""


def part_vectors(recommender: Recommender, histories: Histories, item_tokens: F32) -> PartVectors:
    """Return the part vectors of n users."""
    pairs = np.stack([histories.items, histories.behaviours])
    distinct, at = np.unique(pairs, axis=1, return_inverse=True)
    alone = recommender.user_vectors(_single(distinct[0], distinct[1], histories.texts.shape[1]), item_tokens)
    n = histories.n_users
    nothing = _without_history(histories)
    no_text = replace(nothing, has_text=np.zeros(n, dtype=bool))
    no_social = replace(
        nothing,
        social_offsets=np.zeros(n + 1, dtype=np.int64),
        social_items=histories.social_items[:0],
        social_weights=histories.social_weights[:0],
    )
    return PartVectors(
        history=alone[at.reshape(-1)],
        history_prior=recommender.prior_strength * _log_share(histories.offsets, histories.weights),
        text=recommender.user_vectors(no_social, item_tokens),
        social=recommender.user_vectors(no_text, item_tokens),
    )


def strengths(x: F32, y: F32, theta: F32, rank: Rank) -> F64:
    """Return the combined rank [m, n] of m vectors and n items, without the bias, which is equal for all reasons.

    >>> one = np.array([[1.0, 0.0]], dtype=np.float32)
    >>> strengths(one, one, one, Rank()).tolist()
    [[2.0]]
    """
    # The weight of the products is scaled, instead of each product.
    unscaled = rank._replace(w_ce=rank.w_product)
    return np.asarray(combined(unscaled, cosines(x, y), x @ theta.T), dtype=np.float64)


def cosines(x: F32, y: F32) -> F32:
    """Return the cosines [m, n] of the rows of two matrices; 0 where a row is zero."""
    return np.asarray(_unit(x) @ _unit(y).T, dtype=np.float32)


def best_rows(strength: F64, items: I64, n_reasons: int) -> I64:
    """Return the rows of the strongest evidence for each column, [n_items, n_reasons], -1 where there are fewer.

    A repeated item counts once. Of equal strengths the later row wins, because the most recent behaviour is the last
    one.
    """
    order = np.argsort(-strength[::-1], axis=0, kind="stable")
    rows = len(strength) - 1 - order
    chosen = np.full((strength.shape[1], n_reasons), -1, dtype=np.int64)
    for column in range(strength.shape[1]):
        seen: list[int] = []
        for row in rows[:, column]:
            if items[row] not in items[seen]:
                seen.append(int(row))
                if len(seen) == n_reasons:
                    break
        chosen[column, : len(seen)] = seen
    return chosen


def _unit(matrix: F32) -> F32:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0), dtype=np.float32)


def _log_share(offsets: I64, weights: F32) -> F64:
    """Return log(weight / the largest of the user), flat."""
    logs = np.log(np.maximum(weights.astype(np.float64), 1e-30))
    lengths = np.diff(offsets)
    if not len(logs):
        return logs
    largest = np.full(len(lengths), -np.inf)
    np.maximum.at(largest, np.repeat(np.arange(len(lengths)), lengths), logs)
    return np.asarray(np.maximum(logs - np.repeat(largest, lengths), -12.0), dtype=np.float64)


def _single(items: I64, behaviours: I64, text_width: int) -> Histories:
    """Return users with one behaviour each and nothing else."""
    n = len(items)
    return Histories(
        offsets=np.arange(n + 1, dtype=np.int64),
        user_ids=np.full(n, "", dtype=object),
        items=items,
        behaviours=behaviours,
        times=np.zeros(n),
        weights=np.ones(n, dtype=np.float32),
        social_offsets=np.zeros(n + 1, dtype=np.int64),
        social_items=np.zeros(0, dtype=np.int64),
        social_weights=np.zeros(0, dtype=np.float32),
        texts=np.zeros((n, text_width), dtype=np.float32),
        has_text=np.zeros(n, dtype=bool),
    )


def _without_history(histories: Histories) -> Histories:
    return replace(
        histories,
        offsets=np.zeros(histories.n_users + 1, dtype=np.int64),
        items=histories.items[:0],
        behaviours=histories.behaviours[:0],
        times=histories.times[:0],
        weights=histories.weights[:0],
    )
