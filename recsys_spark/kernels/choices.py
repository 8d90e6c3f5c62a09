"""What the loss cannot decide, chosen on behaviours that the trial run was not shown.

How far links count: while the model learns, it has seen the very pairs that it is asked for, all but the links (those are
fitted without the user), and so it trusts its vectors too much and the links too little. The scale at which P is true: for the same
reason. How far cold items are pushed: what is likeliest is seldom what nobody has touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys_spark.kernels.layout import F64
from recsys_spark.kernels.validation import Asked, Found, measure

USUAL_STRENGTH = 2.0
"""Better than what the loss finds (1) on each of five public data sets; docs/decisions/0014."""
CHOICES = ("link_strength", "temperature", "cold_item_boost")
LINK_STRENGTHS = (1.0, 1.5, USUAL_STRENGTH, 3.0, 4.0, 6.0)
COLD_ITEM_BOOSTS = np.arange(0.0, 6.01, 0.25)


@dataclass(frozen=True)
class Choices:
    """Stored in the model."""

    temperature: float = 1.0
    """P = softmax(logit / temperature)"""
    link_strength: float = USUAL_STRENGTH
    """times what the loss found"""
    cold_item_boost: float = 0.0
    """added to the logits of items that nobody has chosen, before the temperature"""


def choose(asked: Asked, cold_item_cost: float) -> tuple[Choices, Found]:
    """The best of each for the held-out behaviours, one after the other, and how the model did before cold items were pushed.

    ``asked`` is of a model with a link strength of 1.
    """
    strength = link_strength(asked)
    found, _ = measure(asked, strength)
    return Choices(found.temperature, strength, cold_item_boost(asked, strength, cold_item_cost)), found


def link_strength(asked: Asked) -> float:
    """That of LINK_STRENGTHS with the best ndcg; the usual one where that is not clearly better."""
    if not len(asked.boosts.value):
        return USUAL_STRENGTH
    rank = np.empty((len(LINK_STRENGTHS), len(asked.held.truth_row)), np.int64)
    for block in asked.blocks(0.0):
        if not asked.held.repeats:
            block.leave_out_seen()
        for k, step in enumerate(np.diff(LINK_STRENGTHS, prepend=0.0)):
            block.add_boosts(float(step))
            rank[k, block.part] = block.ranks()
    ndcg = [asked.ndcg(one) for one in rank]
    best = int(np.argmax([values.mean() for values in ndcg]))
    usual = LINK_STRENGTHS.index(USUAL_STRENGTH)
    return LINK_STRENGTHS[best] if clearly_better(ndcg[best], ndcg[usual]) else USUAL_STRENGTH


def clearly_better(one: F64, other: F64) -> bool:
    """Whether values of users [n] are larger on average than ``other`` ones of the same users by more than a standard error.

    >>> clearly_better(np.array([1.0, 1.0, 0.9]), np.array([0.5, 0.6, 0.5])), clearly_better(np.array([1.0, 0.0]), np.array([0.0, 0.9]))
    (True, False)
    """
    difference = one - other
    return bool(difference.mean() > difference.std(ddof=1) / np.sqrt(len(difference)))


def cold_item_boost(asked: Asked, strength: float, cost: float) -> float:
    """The largest of COLD_ITEM_BOOSTS that may be added to the logits of items without a behaviour.

    The logits alone say what is likely next, and an item that only its text is known of is seldom likelier than the best
    of those that many have touched: a list of the likeliest would hide cold items until someone finds them elsewhere.
    With a larger boost, ndcg on held-out behaviours (cold items among them) falls by more than ``cost`` of its best.
    """
    new = np.flatnonzero(asked.cold)
    if not asked.cold[asked.held.truth_item].any():
        return 0.0
    rank = np.empty((len(COLD_ITEM_BOOSTS), len(asked.held.truth_row)), np.int64)
    for block in asked.blocks(strength):
        if not asked.held.repeats:
            block.leave_out_seen()
        for k, step in enumerate(np.diff(COLD_ITEM_BOOSTS, prepend=0.0)):
            block.logits[:, new] += np.float32(step)
            rank[k, block.part] = block.ranks()
    ndcg = np.array([asked.ndcg(one).mean() for one in rank])
    if ndcg.max() <= 0:
        return 0.0
    return float(COLD_ITEM_BOOSTS[np.flatnonzero(ndcg >= (1 - cost) * ndcg.max())[-1]])
