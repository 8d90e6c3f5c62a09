"""What the loss cannot decide, chosen on behaviours that the trial run was not shown.

How far links count: while the model learns, it has seen the very pairs that it is asked for, all but the links (those are
fitted without the user), and so it trusts its vectors too much and the links too little. The scale at which P is true: for the same
reason. How far cold items are pushed: what is likeliest is seldom what nobody has touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_spark.numerics.arrays import F64
from recsys_spark.training.kernels.held_out import TEMPERATURES, Asked, Block, Found, measure

USUAL_STRENGTH = 2.0
"""Better than what the loss finds (1) on six of seven validation slices of public data; docs/decisions/0014."""
CHOICES = ("link_strength", "temperature", "cold_item_boost", "w_cos")
LINK_STRENGTHS = (1.0, 1.5, USUAL_STRENGTH, 3.0, 4.0, 6.0, 9.0, 14.0)
"""At the largest the lists of users with a history are nearly those of EASE (Steam, validation: ndcg@10 0.3659 at 14 times, EASE 0.3677)."""
USUAL_COSINE = 1.0
COSINES = (0.0, 0.5, USUAL_COSINE, 2.0, 4.0)
"""Weights of the cosine beside the logit as it was trained."""
COLD_ITEM_BOOSTS = tuple(0.25 * k for k in range(25))
Add = Callable[[Block, float], None]


@dataclass(frozen=True)
class Choices:
    """Stored in the model."""

    temperature: float = 1.0
    """P = softmax(logit / temperature)"""
    link_strength: float = USUAL_STRENGTH
    """times what the loss found"""
    cold_item_boost: float = 0.0
    """added to the logits of items that nobody has chosen, before the temperature"""
    w_cos: float = USUAL_COSINE
    """weight of the cosine beside log P, where the configuration does not say"""


def grid_ends(chosen: Mapping[str, Any]) -> list[str]:
    """Which of CHOICES are the last that is tried, so that a better value may lie beyond; an end by nature (no push, no cosine) is none.

    >>> from dataclasses import asdict
    >>> usual = asdict(Choices())
    >>> grid_ends(usual), grid_ends({**usual, "link_strength": LINK_STRENGTHS[-1], "w_cos": 0.0})
    ([], ['link_strength'])
    """
    ends = {
        "link_strength": chosen["link_strength"] in (LINK_STRENGTHS[0], LINK_STRENGTHS[-1]),
        "temperature": not TEMPERATURES[0] < np.float32(chosen["temperature"]) < TEMPERATURES[-1],
        "cold_item_boost": chosen["cold_item_boost"] == COLD_ITEM_BOOSTS[-1],
        "w_cos": np.isclose(chosen["w_cos"] * chosen["temperature"], COSINES[-1]),
    }
    return [name for name in CHOICES if ends[name]]


def choose(asked: Asked, cold_item_cost: float) -> tuple[Choices, Found]:
    """The best of each for the held-out behaviours, one after the other, and what it found before cold items were pushed.

    ``asked`` is of a model with a link strength of 1.
    """
    strength = link_strength(asked)
    cosine = cosine_weight(asked, strength)
    found, _ = measure(asked, strength, cosine)
    boost = cold_item_boost(asked, strength, cosine, cold_item_cost)
    # The temperature divides the logits alone.
    return Choices(found.temperature, strength, boost, cosine / found.temperature), found


def link_strength(asked: Asked) -> float:
    """That of LINK_STRENGTHS with the best ndcg; the usual one where that is not better by more than a standard error."""
    if not len(asked.boosts.value):
        return USUAL_STRENGTH
    return _best(asked, LINK_STRENGTHS, USUAL_STRENGTH, 0.0, USUAL_COSINE, Block.add_boosts)


def cosine_weight(asked: Asked, strength: float) -> float:
    """That of COSINES with the best ndcg; the usual one where that is not better by more than a standard error."""
    return _best(asked, COSINES, USUAL_COSINE, strength, 0.0, Block.add_cosine)


def _best(asked: Asked, values: Sequence[float], usual: float, strength: float, cosine: float, add: Add) -> float:
    """The best of ``values``; see :func:`_ndcg`."""
    ndcg = _ndcg(asked, values, strength, cosine, add)
    best = int(np.argmax([of_users.mean() for of_users in ndcg]))
    return values[best] if better_by(1.0, ndcg[best], ndcg[values.index(usual)]) else usual


def _ndcg(asked: Asked, values: Sequence[float], strength: float, cosine: float, add: Add) -> list[F64]:
    """ndcg of each user [n] for each of ascending ``values``: how often ``add`` is done to the logits of ``strength`` and ``cosine``."""
    rank = np.empty((len(values), len(asked.held.truth_row)), np.int64)
    for block in asked.blocks(strength):
        block.add_cosine(cosine)
        if not asked.held.repeats:
            block.leave_out_seen()
        for k, step in enumerate(np.diff(values, prepend=0.0)):
            add(block, float(step))
            rank[k, block.part] = block.ranks()
    return [asked.ndcg(one) for one in rank]


def better_by(n_errors: float, one: F64, other: F64) -> bool:
    """Whether values of users [n] are larger on average than ``other`` ones of the same users by more than so many standard errors.

    >>> better_by(1.0, np.array([1.0, 1.0, 0.9]), np.array([0.5, 0.6, 0.5])), better_by(1.0, np.array([1.0, 0.0]), np.array([0.0, 0.9]))
    (True, False)
    """
    difference = one - other
    return bool(difference.mean() > n_errors * difference.std(ddof=1) / np.sqrt(len(difference)))


def cold_item_boost(asked: Asked, strength: float, cosine: float, cost: float) -> float:
    """The largest of COLD_ITEM_BOOSTS that may be added to the logits of items without a behaviour.

    The logits alone say what is likely next, and an item that only its text is known of is seldom likelier than the best
    of those that many have touched: a list of the likeliest would hide cold items until someone finds them elsewhere.
    With a larger boost, ndcg on held-out behaviours (cold items among them) falls by more than ``cost`` of its best, for the users as they
    are, without their links, or by their profile alone: of who is known little, logits differ little, and a boost that
    others do not notice would fill that list with cold items.
    """
    if not asked.cold[asked.held.truth_item].any():
        return 0.0
    new = np.flatnonzero(asked.cold)

    def push(block: Block, times: float) -> None:
        block.logits[:, new] += np.float32(times)

    views = [(asked, strength)]
    if len(asked.boosts.value):
        views.append((asked, 0.0))
    if by_profile := asked.by_profile():
        views.append((by_profile, 0.0))
    allowed = np.ones(len(COLD_ITEM_BOOSTS), bool)
    for view, links in views:
        ndcg = np.array([of_users.mean() for of_users in _ndcg(view, COLD_ITEM_BOOSTS, links, cosine, push)])
        if ndcg.max() > 0:
            allowed &= np.arange(len(ndcg)) <= np.flatnonzero(ndcg >= (1 - cost) * ndcg.max())[-1]
        elif view is asked and links == strength:
            # A trial that finds nothing pushes nothing; of another view that finds nothing there is nothing to lose.
            return 0.0
    return COLD_ITEM_BOOSTS[int(np.flatnonzero(allowed)[-1])]
