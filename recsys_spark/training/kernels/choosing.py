"""The search of a trial run for values that the loss cannot find, on behaviours that it was not shown.

Links: while the model learns, it has seen the same pairs that it is asked for. The links have not, because they are
fitted without the user. So the model trusts its vectors too much and the links too little.

Temperature: the temperature at which P is true is off for the same reason. Cold items: the likeliest item is seldom an
item that nobody has touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from recsys_spark.model.kernels.choices import (
    COLD_ITEM_BOOSTS,
    COSINES,
    LINK_STRENGTHS,
    USUAL_COSINE,
    USUAL_STRENGTH,
    Choices,
)
from recsys_spark.model.kernels.epochs import Found
from recsys_spark.numerics.arrays import F64
from recsys_spark.training.kernels.asked import Asked, AskedBlock, measure

FOUND_BY_LOGITS = ("link_strength", "temperature", "cold_item_boost", "w_cos")
"""Choices that are found by changing the logits of one model; others are found by trying the model with each value."""
Add = Callable[[AskedBlock, float], None]
AskedWith = Callable[[Choices], Asked]
"""Returns the held-out users as the model sees them with these choices applied."""


def choose(
    asked: Asked, cold_item_cost: float, asked_with: AskedWith | None = None, kind: type[Choices] = Choices
) -> tuple[Choices, Found]:
    """Return the best value of each choice of ``kind``, one after the other, and the metrics before cold items were
    pushed.

    ``asked`` is of a model as it was trained. Without ``asked_with``, choices that are not in FOUND_BY_LOGITS stay at
    their usual value.
    """
    strength = link_strength(asked)
    cosine = cosine_weight(asked, strength)
    found, _ = measure(asked, strength, cosine)
    boost = cold_item_boost(asked, strength, cosine, cold_item_cost)
    # The temperature divides the logits only.
    chosen = kind(
        link_strength=strength,
        temperature=found.temperature,
        cold_item_boost=boost,
        w_cos=cosine / found.temperature,
    )
    if asked_with:
        for name in kind.every():
            if name not in FOUND_BY_LOGITS:
                chosen = by_trying(name, chosen, asked_with)
    return chosen, found


def by_trying(name: str, chosen: Choices, asked_with: AskedWith) -> Choices:
    """Return ``chosen`` with the value of choice ``name`` whose lists have the best ndcg.

    The usual value wins unless the best is better by more than a standard error.
    """
    one = chosen.every()[name]
    tried = [replace(chosen, **{name: value}) for value in one.grid]
    ndcg = [measure(asked_with(choices), 1.0, choices.w_cos)[1] for choices in tried]
    return tried[_best_of(ndcg, one.grid.index(one.usual))]


def link_strength(asked: Asked) -> float:
    """Return the value of LINK_STRENGTHS with the best ndcg.

    The usual value wins unless the best is better by more than a standard error.
    """
    if not len(asked.boosts.value):
        return USUAL_STRENGTH
    return _best(asked, LINK_STRENGTHS, USUAL_STRENGTH, 0.0, USUAL_COSINE, AskedBlock.add_boosts)


def cosine_weight(asked: Asked, strength: float) -> float:
    """Return the value of COSINES with the best ndcg.

    The usual value wins unless the best is better by more than a standard error.
    """
    return _best(asked, COSINES, USUAL_COSINE, strength, 0.0, AskedBlock.add_cosine)


def _best(asked: Asked, values: Sequence[float], usual: float, strength: float, cosine: float, add: Add) -> float:
    """Return the best of ``values``; see :func:`_ndcg`."""
    return values[_best_of(_ndcg(asked, values, strength, cosine, add), values.index(usual))]


def _best_of(ndcg: Sequence[F64], usual: int) -> int:
    """Return the place of the best mean among ndcg of the same users.

    It is ``usual`` unless the best is better by more than a standard error.
    """
    best = int(np.argmax([of_users.mean() for of_users in ndcg]))
    return best if better_by(1.0, ndcg[best], ndcg[usual]) else usual


def _ndcg(asked: Asked, values: Sequence[float], strength: float, cosine: float, add: Add) -> list[F64]:
    """Return the ndcg of each user [n] for each of the ascending ``values``.

    A value says how many times ``add`` is applied to the logits of ``strength`` and ``cosine``.
    """
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
    """Return whether ``one`` is larger on average than ``other`` by more than ``n_errors`` standard errors.

    Both [n] are of the same users.

    >>> better_by(1.0, np.array([1.0, 1.0, 0.9]), np.array([0.5, 0.6, 0.5]))
    True
    >>> better_by(1.0, np.array([1.0, 0.0]), np.array([0.0, 0.9]))
    False
    """
    difference = one - other
    return bool(difference.mean() > n_errors * difference.std(ddof=1) / np.sqrt(len(difference)))


def cold_item_boost(asked: Asked, strength: float, cosine: float, cost: float) -> float:
    """Return the largest of COLD_ITEM_BOOSTS that may be added to the logits of items without a behaviour.

    The logits alone say which item is likely next. An item that is known only by its text is seldom likelier than the
    best of the items that many have touched. A list of the likeliest would hide cold items until someone finds them
    elsewhere.

    With a larger boost, ndcg on held-out behaviours (cold items among them) falls by more than ``cost`` of its best.
    This must hold in three views of the users: as they are, without their links, and by their profile only. Logits of
    little-known users differ little: a boost that other users do not notice would fill their lists with cold items.
    """
    if not asked.cold[asked.held.truth_item].any():
        return 0.0
    new = np.flatnonzero(asked.cold)

    def push(block: AskedBlock, times: float) -> None:
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
            # A trial that finds nothing gives no boost. Another view that finds nothing limits no boost.
            return 0.0
    return COLD_ITEM_BOOSTS[int(np.flatnonzero(allowed)[-1])]
