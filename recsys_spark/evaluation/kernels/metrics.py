"""The ranking metrics: one entry each, with its function, in the order in which the report shows them. No Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recsys_spark.numerics.arrays import F64, I64


@dataclass(frozen=True)
class Hits:
    """What some users' lists hold of their truth within rank ``k``; each array is ``[n_users]``."""

    k: int
    n_truth: I64
    """Items of the truth, at least 1."""
    n_hits: I64
    """Items of the truth within rank k."""
    first: F64
    """Rank of the first hit, from 1; infinite without a hit."""
    gain: F64
    """Sum over the hits of 1 / log2(rank + 1)."""

    @property
    def most(self) -> I64:
        """The largest possible number of hits, min(k, n_truth)."""
        return np.minimum(self.n_truth, self.k)


@dataclass(frozen=True)
class Metric:
    """One metric in [0, 1]."""

    name: str
    of_users: Callable[[Hits], F64] | None
    """``[n_users]`` values; None for a metric of all lists together, which the backtest counts itself."""
    in_demo: bool = False
    """Whether the demo shows it at its end."""


def recall(hits: Hits) -> F64:
    """Return hits / min(k, n_truth)."""
    value: F64 = hits.n_hits / hits.most
    return value


def ndcg(hits: Hits) -> F64:
    """Return the gain over the gain of a perfect list (Järvelin and Kekäläinen 2002, binary gains)."""
    ideal = np.concatenate([[0.0], np.cumsum(discount(np.arange(1, hits.k + 1)))])
    value: F64 = hits.gain / ideal[hits.most]
    return value


def mrr(hits: Hits) -> F64:
    """Return 1 / rank of the first hit; 0 without a hit."""
    value: F64 = 1.0 / hits.first
    return value


def hit_rate(hits: Hits) -> F64:
    """Return 1 where there is a hit, else 0."""
    return (hits.n_hits > 0).astype(np.float64)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("recall", recall, in_demo=True),
        Metric("ndcg", ndcg, in_demo=True),
        Metric("mrr", mrr),
        Metric("hit_rate", hit_rate, in_demo=True),
        Metric("coverage", None, in_demo=True),
    )
}
"""Name -> metric, in the order of the report: the one list of metrics, from which all others derive."""


def of_users() -> tuple[Metric, ...]:
    """Return the metrics that each user has a value of, in their order."""
    return tuple(metric for metric in METRICS.values() if metric.of_users is not None)


def user_metrics(row: I64, rank: I64, n_truth: I64, ks: Sequence[int], metrics: Sequence[Metric] | None = None) -> F64:
    """Return ``[n_users, len(ks), n_metrics]``: ``metrics`` (default: :func:`of_users`) of each user at each cut-off.

    ``row`` and ``rank`` ``[n_hits]`` name each hit: the index of its user in ``n_truth``, and its rank in the list
    from 1. ``n_truth`` ``[n_users]`` counts the items of the truth, at least 1. A user without a hit has zeros.

    >>> hits = np.array([0, 0]), np.array([1, 3])
    >>> user_metrics(*hits, np.array([2, 1]), [3], [METRICS["recall"], METRICS["ndcg"]])[:, 0].round(4).tolist()
    [[1.0, 0.9197], [0.0, 0.0]]
    """
    functions = [one.of_users for one in (of_users() if metrics is None else metrics) if one.of_users is not None]
    values = np.zeros((len(n_truth), len(ks), len(functions)))
    for position, k in enumerate(ks):
        hits = hits_within(k, row, rank, n_truth)
        values[:, position] = np.stack([function(hits) for function in functions], axis=1)
    return values


def hits_within(k: int, row: I64, rank: I64, n_truth: I64) -> Hits:
    """Return the hits within rank ``k`` of each user, from those at any rank; arguments as in :func:`user_metrics`."""
    within = rank <= k
    users, ranks = row[within], rank[within]
    first = np.full(len(n_truth), np.inf)
    np.minimum.at(first, users, ranks)
    # Sorted, so that the gains add up alike whatever the order in which a shuffle brought the hits.
    order = np.lexsort((ranks, users))
    gain = np.bincount(users[order], weights=discount(ranks[order]), minlength=len(n_truth)).astype(np.float64)
    return Hits(k, n_truth, np.bincount(users, minlength=len(n_truth)), first, gain)


def discount(rank: I64) -> F64:
    """Return 1 / log2(rank + 1)."""
    value: F64 = 1.0 / np.log2(rank + 1.0)
    return value
