"""The customers: tastes, tags, friends and activity, all a function of the customer's index.

Indices below ``n_active`` shop; activity falls with the index. The rest are cold: some gave tags, some have friends, some
nothing. Customers belong to communities that share their first taste, and most friends come from one's own community.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys_spark.shop.catalogue import N_TOPICS
from recsys_spark.shop.draws import Bools, Floats, Ints, integers, scramble, uniform, zipf_rank
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


def user_ids(index: Ints, n_users: int) -> list[str]:
    """Return the id of each customer, ``u0000042``, or a name for the three of the showcase."""
    named = {index_: name for name, index_ in showcase(n_users).items()}
    numbers = scramble(index, n_users).tolist()
    return [named.get(i) or f"u{number:07d}" for i, number in zip(index.tolist(), numbers, strict=True)]


def by_activity(u: Floats, n_users: int) -> Ints:
    """Turn uniform numbers into active customers; a few shop a lot, most a little."""
    active = n_active(n_users)
    return zipf_rank(u, active, exponent=1.2, shift=active / 20)


@dataclass(frozen=True)
class Tastes:
    """What customers like: ``topics`` [n, 3], ``weights`` [n, 3] summing to 1, and the smaller inclinations, [n] each."""

    topics: Ints
    weights: Floats
    tier: Ints
    course_share: Floats
    join_day: Ints
    drift_day: Ints


def tastes(seed: int, index: Ints) -> Tastes:
    """Return the planted tastes. From ``drift_day`` on, first and second taste change places (a quarter of customers)."""
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


def has_tags(seed: int, index: Ints, n_users: int) -> Bools:
    """Whether the customer told the shop what they like."""
    active, place = n_active(n_users), _cold_place(index, n_users)
    asked = uniform(seed, "gave tags", index) < _GAVE_TAGS
    return np.where(index < active, asked, place < _COLD_GROUPS[1])


def n_friends(seed: int, index: Ints, n_users: int) -> Ints:
    """Return how many friend rows the customer has, 0 to 5, and 1 to 5 for those known by friends."""
    active, place = n_active(n_users), _cold_place(index, n_users)
    social = (place < _COLD_GROUPS[0]) | ((place >= _COLD_GROUPS[1]) & (place < _COLD_GROUPS[2]))
    drawn = integers(seed, "number of friends", index, _MAX_FRIENDS)
    return np.where(index < active, drawn, np.where(social, np.maximum(drawn, 1), 0))


def friends(seed: int, index: Ints, nth: int, n_users: int) -> Ints:
    """Return the nth friend of each customer, always an active one; 4 in 5 are of the same community."""
    active, stream = n_active(n_users), f"friend {nth}"
    community = index % N_COMMUNITIES
    peers = (active - community + N_COMMUNITIES - 1) // N_COMMUNITIES
    peer = community + N_COMMUNITIES * integers(seed, stream, index, peers)
    anyone = integers(seed, stream + " anyone", index, active)
    friend = np.where(uniform(seed, stream + " is a peer", index) < 0.8, peer, anyone)
    return np.where(friend == index, (friend + N_COMMUNITIES) % active, friend)


def _cold_place(index: Ints, n_users: int) -> Floats:
    """Place of a cold customer among the cold, 0 <= place < 1; the middle of its slot, so that no bound is hit exactly."""
    active = n_active(n_users)
    return np.asarray((index - active + 0.5) / (n_users - active))
