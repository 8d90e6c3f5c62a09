"""The customers: tastes, tags, friends and activity, all functions of the customer's index.

Customers with an index below ``n_active`` shop, and activity falls with the index. The others are cold: some gave tags,
some have friends, and some have neither. Customers belong to communities that share a first taste, and most friends of
a customer belong to the same community.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys_spark.numerics.arrays import F64, I64, Bools
from recsys_spark.shop.catalogue import N_TOPICS
from recsys_spark.shop.draws import integers, scramble, uniform, zipf_rank
from recsys_spark.shop.words import N_TIERS

RICH, COLD, UNKNOWN = "anna", "bruno", "chloe"
N_TASTES = 3
N_COMMUNITIES = 40
MIN_USERS = 100
HISTORY_DAYS = 180

_ACTIVE_SHARE = 0.92
_COLD_GROUPS = (0.3, 0.5, 0.7)  # of the cold: tags and friends, tags only, friends only, the rest nothing
_TOPIC_COMMUNITIES = (4, 4, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1)
_COMMUNITY_TOPIC = np.repeat(np.arange(N_TOPICS), _TOPIC_COMMUNITIES)
_GAVE_TAGS = 0.6
_MAX_FRIENDS = 6


def n_active(n_users: int) -> int:
    """Return how many customers have behaviours."""
    return int(n_users * _ACTIVE_SHARE)


def showcase(n_users: int) -> dict[str, int]:
    """Return the index of each customer whom the demo shows by name."""
    active = n_active(n_users)
    return {RICH: active // 10, COLD: active, UNKNOWN: n_users - 1}


def user_ids(index: I64, n_users: int) -> list[str]:
    """Return the id of each customer, such as ``u0000042``; the three of the showcase have names."""
    named = {index_: name for name, index_ in showcase(n_users).items()}
    numbers = scramble(index, n_users).tolist()
    return [named.get(i) or f"u{number:07d}" for i, number in zip(index.tolist(), numbers, strict=True)]


def by_activity(u: F64, n_users: int) -> I64:
    """Return active customers for uniform numbers. A few shop a lot, and most shop a little."""
    active = n_active(n_users)
    return zipf_rank(u, active, exponent=1.2, shift=active / 20)


@dataclass(frozen=True)
class Tastes:
    """What customers like: ``topics`` [n, 3], ``weights`` [n, 3] that sum to 1, and smaller inclinations, [n] each."""

    topics: I64
    weights: F64
    tier: I64
    course_share: F64
    join_day: I64
    drift_day: I64


def tastes(seed: int, index: I64) -> Tastes:
    """Return the planted tastes. For a quarter of customers the first two tastes change places on ``drift_day``."""
    first = _COMMUNITY_TOPIC[index % N_COMMUNITIES]
    second = (first + 1 + integers(seed, "second taste", index, N_TOPICS - 1)) % N_TOPICS
    third = (first + 1 + integers(seed, "third taste", index, N_TOPICS - 1)) % N_TOPICS
    n_tastes = 1 + integers(seed, "number of tastes", index, N_TASTES)
    weights = np.array([[1.0, 0.0, 0.0], [0.65, 0.35, 0.0], [0.55, 0.3, 0.15]])[n_tastes - 1]
    late = uniform(seed, "joined late", index) < 0.2
    join_day = np.where(late, HISTORY_DAYS - 60 + integers(seed, "join day", index, 58), 0)
    drifts = uniform(seed, "drifts", index) < 0.25
    drift_day = np.where(drifts, 90 + integers(seed, "drift day", index, 80), HISTORY_DAYS)
    return Tastes(
        topics=np.stack([first, second, third], axis=1),
        weights=weights,
        tier=integers(seed, "user tier", index, N_TIERS),
        course_share=0.1 + 0.5 * uniform(seed, "course share", index),
        join_day=join_day,
        drift_day=drift_day,
    )


def has_tags(seed: int, index: I64, n_users: int) -> Bools:
    """Return whether the customer told the shop what they like."""
    active, place = n_active(n_users), _cold_place(index, n_users)
    asked = uniform(seed, "gave tags", index) < _GAVE_TAGS
    return np.where(index < active, asked, place < _COLD_GROUPS[1])


def n_friends(seed: int, index: I64, n_users: int) -> I64:
    """Return how many friend rows each customer has: 0 to 5, or 1 to 5 for customers known by friends."""
    active, place = n_active(n_users), _cold_place(index, n_users)
    social = (place < _COLD_GROUPS[0]) | ((place >= _COLD_GROUPS[1]) & (place < _COLD_GROUPS[2]))
    drawn = integers(seed, "number of friends", index, _MAX_FRIENDS)
    return np.where(index < active, drawn, np.where(social, np.maximum(drawn, 1), 0))


def friends(seed: int, index: I64, nth: int, n_users: int) -> I64:
    """Return the nth friend of each customer: an active one, and in 4 of 5 cases one of the same community."""
    active, stream = n_active(n_users), f"friend {nth}"
    community = index % N_COMMUNITIES
    peers = (active - community + N_COMMUNITIES - 1) // N_COMMUNITIES
    peer = community + N_COMMUNITIES * integers(seed, stream, index, peers)
    anyone = integers(seed, stream + " anyone", index, active)
    friend = np.where(uniform(seed, stream + " is a peer", index) < 0.8, peer, anyone)
    return np.where(friend == index, (friend + N_COMMUNITIES) % active, friend)


def _cold_place(index: I64, n_users: int) -> F64:
    """Return the place of cold customers among the cold, in (0, 1). It is the middle of a slot, so no bound is hit
    exactly."""
    active = n_active(n_users)
    return np.asarray((index - active + 0.5) / (n_users - active))
