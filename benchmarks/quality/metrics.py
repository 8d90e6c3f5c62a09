"""recall@10 and ndcg@10 over the full catalogue, by segment, with bootstrap intervals and paired differences.

No sampled negatives; seen items are removed; equal scores are ordered by item id. The metrics of a user and the
bootstrap weights are computed by `recsys_spark.evaluation.kernels.metrics`, as in the pipeline's evaluate stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.quality.split import Split, hashes
from recsys_spark.evaluation.kernels.bootstrap import poisson_weights
from recsys_spark.evaluation.kernels.metrics import METRICS, user_metrics
from recsys_spark.numerics.arrays import F64, I64, Bools

K = 10
SHOWN = ("recall", "ndcg")
N_REPLICATES = 1_000
INTERVAL = (2.5, 97.5)
BLOCK_SCORES = 2**23
BOOTSTRAP_USERS = 4_096

OVERALL, WARM, COLD_IN_LIST, AMONG_COLD, COLD_USERS = "overall", "warm items", "cold items", "among cold", "cold users"
SEGMENTS: Mapping[str, str] = {
    OVERALL: "users with a history, all of their truth",
    WARM: "the same, the truth being items with a row in train",
    COLD_IN_LIST: "the truth being items without one, found in the one list a user gets",
    AMONG_COLD: "those again, ranked among cold items only",
    COLD_USERS: "users without a history, all of their truth",
}
Score = Callable[[I64], npt.NDArray[np.floating]]
"""Users [B] -> finite scores [B, n_items], higher is better."""


@dataclass(frozen=True)
class Values:
    """Metrics of each user of a segment."""

    users: I64
    """[n]"""
    values: F64
    """[n, 2] SHOWN at K"""

    @property
    def means(self) -> F64:
        """[2]; NaN if there is no user."""
        return self.values.mean(0) if len(self.users) else np.full(len(SHOWN), np.nan)


def ranks(scores: npt.NDArray[np.floating], row: I64, item: I64) -> I64:
    """Return the rank of each (row, item): 1 + items that score higher + items of smaller number that score the same.

    >>> ranks(np.array([[0.5, 0.9, 0.5, 0.5]]), np.array([0, 0, 0]), np.array([0, 2, 3])).tolist()
    [2, 3, 4]
    """
    found = np.empty(len(row), np.int64)
    position = np.arange(scores.shape[1])
    step = max(1, BLOCK_SCORES // 8 // max(1, scores.shape[1]))
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        own, of = scores[row[part], item[part], None], scores[row[part]]
        found[part] = 1 + (of > own).sum(1) + ((of == own) & (position < item[part, None])).sum(1)
    return found


def evaluate(score: Score, split: Split, max_users: int | None = None) -> dict[str, Values]:
    """Return the values of SEGMENTS; ``max_users``: at most this number of users, of the smallest hash (for tuning).

    Raises ValueError if scores are not finite or have another shape.
    """
    user, item = split.truth_user, split.truth_item
    cold_item, cold_user = cold_of(split)
    if max_users is not None and len(asked := np.unique(user)) > max_users:
        order = np.argsort(hashes(split.train.users[asked].tolist()), kind="stable")
        some = np.isin(user, asked[order[:max_users]])
        user, item = user[some], item[some]
    in_list, among_cold = _ranks_of_truth(score, split, user, item, cold_item)
    of_cold = cold_item[item]
    chosen: dict[str, tuple[Bools, I64]] = {
        OVERALL: (~cold_user[user], in_list),
        WARM: (~cold_user[user] & ~of_cold, in_list),
        COLD_IN_LIST: (~cold_user[user] & of_cold, in_list),
        AMONG_COLD: (~cold_user[user] & of_cold, among_cold),
        COLD_USERS: (cold_user[user], in_list),
    }
    return {name: _values(user[some], rank[some]) for name, (some, rank) in chosen.items()}


def cold_of(split: Split) -> tuple[Bools, Bools]:
    """Return items, and users, without a row in train."""
    rows, world = split.train.rows, split.train
    return np.bincount(rows.item, minlength=world.n_items) == 0, np.bincount(rows.user, minlength=world.n_users) == 0


def _ranks_of_truth(score: Score, split: Split, user: I64, item: I64, cold_item: Bools) -> tuple[I64, I64]:
    """[n_truth] rank in the list, and among the cold items (0 for a warm one)."""
    seen, n_items = split.train.matrix, split.train.n_items
    cold = np.flatnonzero(cold_item)
    place = np.searchsorted(cold, item)
    in_list, among_cold = np.zeros(len(user), np.int64), np.zeros(len(user), np.int64)
    users, starts = np.unique(user, return_index=True)
    starts = np.append(starts, len(user))
    step = max(1, BLOCK_SCORES // max(1, n_items))
    for low in range(0, len(users), step):
        block = users[low : low + step]
        truth = np.arange(starts[low], starts[low + len(block)])
        row = np.repeat(np.arange(len(block)), np.diff(starts[low : low + len(block) + 1]))
        scores = np.array(score(block))
        if scores.shape != (len(block), n_items) or not np.isfinite(scores).all():
            raise ValueError(f"scores of shape {scores.shape}, expected finite ones of {(len(block), n_items)}")
        scores[seen[block].nonzero()] = -np.inf
        in_list[truth] = ranks(scores, row, item[truth])
        of_cold = cold_item[item[truth]]
        among_cold[truth[of_cold]] = ranks(scores[:, cold], row[of_cold], place[truth[of_cold]])
    return in_list, among_cold


def _values(user: I64, rank: I64) -> Values:
    users, row, n_truth = np.unique(user, return_inverse=True, return_counts=True)
    return Values(users, user_metrics(row, rank, n_truth, [K], [METRICS[name] for name in SHOWN])[:, 0])


def replicate_means(values: Values, user_ids: npt.NDArray[np.object_]) -> F64:
    """Return [N_REPLICATES, 2]: means of Poisson bootstrap replicates over users.

    A user's weights depend on the id alone, so the replicates of two methods on the same users are paired.
    """
    weight, total = np.zeros(N_REPLICATES), np.zeros((N_REPLICATES, len(SHOWN)))
    for start in range(0, len(values.users), BOOTSTRAP_USERS):
        part = slice(start, start + BOOTSTRAP_USERS)
        drawn = poisson_weights(hashes(user_ids[values.users[part]].tolist()), N_REPLICATES).astype(np.float64)
        weight += drawn.sum(0)
        total += drawn.T @ values.values[part]
    with np.errstate(invalid="ignore"):
        return total / weight[:, None]


def interval(replicates: F64) -> tuple[F64, F64]:
    """Return the percentile interval at 95%, [2] low and [2] high; NaN if there are no users."""
    if np.isnan(replicates).all():
        return np.full(len(SHOWN), np.nan), np.full(len(SHOWN), np.nan)
    low, high = np.nanpercentile(replicates, INTERVAL, axis=0)
    return low, high


def paired_difference(one: Values, other: Values, user_ids: npt.NDArray[np.object_]) -> tuple[F64, F64, F64]:
    """Return the mean of ``one`` minus ``other`` with its interval, user by user. Raises ValueError if users differ."""
    if not np.array_equal(one.users, other.users):
        raise ValueError(f"{len(one.users)} users against {len(other.users)} others: not of one split")
    difference = Values(one.users, one.values - other.values)
    return difference.means, *interval(replicate_means(difference, user_ids))
