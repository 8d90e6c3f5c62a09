"""The catalogue as arithmetic: the index of an item determines its topic, department and traits, without a look-up.

Item index ``i`` has topic ``i mod 20`` and place ``i div 20`` in the topic. Places come in blocks of 20 slots: six are
courses, and one is a new item without behaviours. So any task of the cluster can draw "the third most popular coffee
course".
"""

from __future__ import annotations

import numpy as np

from recsys_spark.numerics.arrays import I64, Bools
from recsys_spark.shop.draws import integers, scramble, uniform
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


def topic_of(index: I64) -> I64:
    """Return the topic of each item."""
    return index % N_TOPICS


def is_new(index: I64) -> Bools:
    """Return whether the item was added so late that it has no behaviours: one item in 20."""
    return np.equal((index // N_TOPICS) % _BLOCK, _NEW_SLOT)


def department_of(index: I64) -> I64:
    """Return SHOP or COURSE for each item; new items alternate."""
    place = index // N_TOPICS
    slot, block = place % _BLOCK, place // _BLOCK
    course = np.isin(slot, _COURSE_SLOTS) | ((slot == _NEW_SLOT) & (block % 2 == 1))
    return np.where(course, COURSE, SHOP)


def counts(n_items: int) -> I64:
    """Return how many items of each topic and department have behaviours, [20, 2]."""
    table = np.empty((N_TOPICS, 2), dtype=np.int64)
    for topic in range(N_TOPICS):
        blocks, rest = divmod((n_items - topic + N_TOPICS - 1) // N_TOPICS, _BLOCK)
        table[topic] = [blocks * len(slots) + int((slots < rest).sum()) for slots in _SLOTS]
    return table


def index_of(topic: I64, department: I64, rank: I64) -> I64:
    """Return the item with this popularity rank (from 0) in its topic and department."""
    block = np.where(department == COURSE, rank // len(_COURSE_SLOTS), rank // len(_SHOP_SLOTS))
    slot = np.where(
        department == COURSE, _COURSE_SLOTS[rank % len(_COURSE_SLOTS)], _SHOP_SLOTS[rank % len(_SHOP_SLOTS)]
    )
    return (block * _BLOCK + slot) * N_TOPICS + topic


def item_ids(index: I64, n_items: int) -> list[str]:
    """Return the id of each item, such as ``shop-0000417`` or ``course-0000123``. It does not tell the popularity."""
    prefix = ("shop", "course")
    numbers, departments = scramble(index, n_items).tolist(), department_of(index).tolist()
    return [f"{prefix[d]}-{number:07d}" for d, number in zip(departments, numbers, strict=True)]


def tier_of(seed: int, index: I64) -> I64:
    """Return how demanding each item is: 0 (entry or beginner), 1, or 2 (professional or advanced)."""
    return integers(seed, "item tier", index, N_TIERS)


def thing_of(seed: int, index: I64) -> I64:
    """Return which of the eight things or subjects of its topic each item is."""
    return integers(seed, "item thing", index, N_THINGS)


def family_of(thing: I64) -> I64:
    """Return the family 0 .. 3 of each thing: neighbouring words of the vocabulary belong together."""
    return thing * N_FAMILIES // N_THINGS


def launch_days_before_end(seed: int, index: I64) -> I64:
    """Return how many days before the end each item came on sale. Most items were always there: a large number.

    The best-seller of each topic and department (rank 0) was always there, so that every visit finds something.
    """
    young = (uniform(seed, "item young", index) < _LAUNCH_SHARE) & (index // N_TOPICS > _COURSE_SLOTS[0])
    days = 2 + integers(seed, "item launch", index, _LAUNCH_DAYS - 2)
    return np.where(is_new(index), 1, np.where(young, days, 100_000))
