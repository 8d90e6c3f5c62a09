"""The recommended encoder: the fastest whose recall is as good as the best, as far as the sample can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys_spark.evaluation.kernels.bootstrap import SCALE, poisson_weights, replicate_sums
from recsys_spark.numerics.arrays import U64

K = 10
"""Cut-off of recall."""
TOLERATED_LOSS = 0.1
"""A candidate is as good as the best if it loses less than this share of the best recall."""
MIN_HITS = 20
"""With fewer found targets an interval has no meaning."""
N_REPLICATES = 1000
INTERVAL = (2.5, 97.5)

RULE = (
    f"The fastest candidate (texts per second) whose recall@{K} is at most {TOLERATED_LOSS:.0%} below the highest, "
    "by the upper end of the paired 95% interval of the difference."
)


@dataclass(frozen=True)
class Quality:
    """recall@K of a candidate over the probed users, and its loss against the best, each with its 95% interval."""

    recall: float
    low: float
    high: float
    loss: float
    """The best recall minus this recall, on the same users."""
    loss_low: float
    loss_high: float


@dataclass(frozen=True)
class Verdict:
    """The number of the recommended candidate, None without one, and the reason as text."""

    chosen: int | None
    sentence: str


def qualities(ranks: Sequence[Sequence[int]], speeds: Sequence[float], user_hashes: U64) -> list[Quality]:
    """Return the quality of each candidate from the targets' ranks ``[n_candidates][n_users]``; empty without users.

    The best candidate has the highest recall; of equal candidates it is the fastest. Poisson bootstrap over users
    (:func:`evaluation.kernels.bootstrap.poisson_weights`), the same users for all.
    """
    hits = np.asarray(ranks, np.int64).T <= K
    if not hits.size:
        return []
    sums = replicate_sums(hits.astype(np.float64), poisson_weights(user_hashes, N_REPLICATES))
    # A replicate may have drawn nobody where there are few users.
    recalls = sums[:, 1:] / SCALE / np.maximum(sums[:, :1], 1)
    best = max(range(len(speeds)), key=lambda c: (hits[:, c].sum(), speeds[c]))
    losses = recalls[:, best : best + 1] - recalls
    bounds = [np.percentile(values[1:], INTERVAL, axis=0) for values in (recalls, losses)]
    return [
        Quality(*map(float, (recalls[0, c], *bounds[0][:, c], losses[0, c], *bounds[1][:, c])))
        for c in range(len(speeds))
    ]


def verdict(
    names: Sequence[str], speeds: Sequence[float], found: Sequence[Quality], n_users: int, remedy: str
) -> Verdict:
    """Apply RULE to candidates with ``speeds`` in texts/s; ``found`` may be empty.

    ``remedy`` is a sentence on larger samples.
    """
    fastest = max(range(len(names)), key=lambda c: speeds[c])
    n_hits = round(max((quality.recall for quality in found), default=0) * n_users)
    if n_hits < MIN_HITS:
        return Verdict(
            None,
            f"The sample is too small to tell: at most {n_hits} of {n_users} users' next items were found, and "
            f"{MIN_HITS} are needed. `{names[fastest]}` is the fastest, which says nothing of its vectors. {remedy}",
        )
    best = min(range(len(names)), key=lambda c: (found[c].loss, -speeds[c]))
    bound = TOLERATED_LOSS * found[best].recall
    good = [c for c in range(len(names)) if found[c].loss_high <= bound]
    chosen = max([*good, best], key=lambda c: speeds[c])
    open_questions = [
        c
        for c in range(len(names))
        if speeds[c] > speeds[chosen] and found[c].loss_low <= 0 and found[c].loss_high > bound
    ]
    return Verdict(
        chosen,
        " ".join([*_sentences(names, speeds, found, chosen, best, open_questions), *[remedy] * bool(open_questions)]),
    )


def _sentences(
    names: Sequence[str],
    speeds: Sequence[float],
    found: Sequence[Quality],
    chosen: int,
    best: int,
    open_questions: Sequence[int],
) -> list[str]:
    own = found[chosen]
    said = f"`{names[chosen]}` is recommended: "
    if len(names) == 1:
        said += f"nothing else could be measured; its recall@{K} is {own.recall:.3f} ({own.low:.3f} to {own.high:.3f})."
    elif chosen == best:
        said += f"its recall@{K} of {own.recall:.3f} ({own.low:.3f} to {own.high:.3f}) is the highest"
        rivals = any(speeds[c] > speeds[chosen] for c in range(len(names)))
        said += ", and no faster one is shown to be as good." if rivals else ", and it is the fastest."
    else:
        said += (
            f"it encodes {speeds[chosen] / speeds[best]:.2g} times as fast as `{names[best]}`, whose recall@{K} of "
            f"{found[best].recall:.3f} is the highest; its own is {own.recall:.3f}, {_less(own)}."
        )
    maybe = [
        f"`{names[c]}` is {speeds[c] / speeds[chosen]:.2g} times as fast as that, and the sample is too small to tell "
        f"whether it is as good: its recall is {found[c].recall:.3f}, {_less(found[c])}."
        for c in open_questions
    ]
    return [said, *maybe]


def _less(quality: Quality) -> str:
    return f"less by {quality.loss:.4f} (95% interval {quality.loss_low:.4f} to {quality.loss_high:.4f})"
