"""The catalogue as arithmetic: an item's topic, department and traits follow from its index, with nothing to look up.

Item index ``i`` has topic ``i mod 20`` and place ``i div 20`` in it; places come in blocks of 20 slots, of which six are
courses and one is newly added and has no behaviour yet. So a behaviour can draw "the third most popular coffee course"
anywhere on the cluster.
"""

from __future__ import annotations

import numpy as np

from recsys_spark.shop.draws import Bools, Ints, integers, scramble, uniform
from recsys_spark.shop.topics import TOPICS
from recsys_spark.shop.words import N_TIERS

N_TOPICS = len(TOPICS)
N_THINGS = 8
N_FAMILIES = 4
SHOP, COURSE = 0, 1
_BLOCK = 20
_NEW_SLOT = 19
_COURSE_SLOTS = np.array([2, 5, 8, 12, 15, 18])
_SHOP_SLOTS = np.array([slot for slot in range(_BLOCK) if slot != _NEW_SLOT and slot not in _COURSE_SLOTS])
_SLOTS = (_SHOP_SLOTS, _COURSE_SLOTS)
MIN_ITEMS = 3 * N_TOPICS  # below it a topic has no course

_LAUNCH_SHARE = 0.08
_LAUNCH_DAYS = 30


def topic_of(index: Ints) -> Ints:
    """Return the topic of each item."""
    return index % N_TOPICS


def is_new(index: Ints) -> Bools:
    """Whether the item was added so late that nobody has touched it: one in 20."""
    return np.equal((index // N_TOPICS) % _BLOCK, _NEW_SLOT)


def department_of(index: Ints) -> Ints:
    """Return SHOP or COURSE for each item; new items alternate."""
    place = index // N_TOPICS
    slot, block = place % _BLOCK, place // _BLOCK
    course = np.isin(slot, _COURSE_SLOTS) | ((slot == _NEW_SLOT) & (block % 2 == 1))
    return np.where(course, COURSE, SHOP)


def counts(n_items: int) -> Ints:
    """Return how many items of each topic and department have behaviours, [20, 2]."""
    table = np.empty((N_TOPICS, 2), dtype=np.int64)
    for topic in range(N_TOPICS):
        blocks, rest = divmod((n_items - topic + N_TOPICS - 1) // N_TOPICS, _BLOCK)
        table[topic] = [blocks * len(slots) + int((slots < rest).sum()) for slots in _SLOTS]
    return table


def index_of(topic: Ints, department: Ints, rank: Ints) -> Ints:
    """Return the item of that popularity rank (from 0) within its topic and department."""
    block = np.where(department == COURSE, rank // len(_COURSE_SLOTS), rank // len(_SHOP_SLOTS))
    slot = np.where(
        department == COURSE, _COURSE_SLOTS[rank % len(_COURSE_SLOTS)], _SHOP_SLOTS[rank % len(_SHOP_SLOTS)]
    )
    return (block * _BLOCK + slot) * N_TOPICS + topic


def item_ids(index: Ints, n_items: int) -> list[str]:
    """Return the id of each item, ``shop-0000417`` or ``course-0000123``; it says nothing about popularity."""
    prefix = ("shop", "course")
    numbers, departments = scramble(index, n_items).tolist(), department_of(index).tolist()
    return [f"{prefix[d]}-{number:07d}" for d, number in zip(departments, numbers, strict=True)]


def tier_of(seed: int, index: Ints) -> Ints:
    """Return how demanding the item is: 0 entry or beginner, 1, 2 professional or advanced."""
    return integers(seed, "item tier", index, N_TIERS)


def thing_of(seed: int, index: Ints) -> Ints:
    """Return which of its topic's eight things or subjects the item is."""
    return integers(seed, "item thing", index, N_THINGS)


def family_of(thing: Ints) -> Ints:
    """Return the family 0 .. 3 of a thing: neighbouring words of the vocabulary belong together."""
    return thing * N_FAMILIES // N_THINGS


def launch_days_before_end(seed: int, index: Ints) -> Ints:
    """Return when the item came on sale, days before the end; most were always there (a large number).

    The best-seller of each topic and department (rank 0) is never young, so that every visit finds something.
    """
    young = (uniform(seed, "item young", index) < _LAUNCH_SHARE) & (index // N_TOPICS > _COURSE_SLOTS[0])
    days = 2 + integers(seed, "item launch", index, _LAUNCH_DAYS - 2)
    return np.where(is_new(index), 1, np.where(young, days, 100_000))
