"""Holds behaviours out of a trial run. What the loss cannot decide is decided only on them.

The held-out part is the newest slice of time, because a list is for the days that come. If data have no times, the last
item of every tenth user is held out instead. A trial uses no items of friends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys_spark.model.kernels.histories import Histories, joined, kept, shuffled_ties, without_friends
from recsys_spark.model.kernels.popularity import slice_borders
from recsys_spark.numerics.arrays import I64, Bools
from recsys_spark.worker.process_group import ALONE, Group

SHARE_OF_USERS = 0.1
MIN_USERS = 20
MAX_HIDDEN = 0.3
MAX_SCORES, MAX_USERS = 1e8, 20_000
"""Limits the number of held-out users, so that the trial stays cheap compared with training."""


@dataclass(frozen=True)
class HeldOut:
    """The part of the data that a trial may see, and the part that it is asked for."""

    train: Histories
    """Users with their behaviours before the cut"""
    moment: float
    """Moment of the cut, in seconds; the trial has the popularity of this moment"""
    asked: Histories
    """[n] users as they were known before the cut"""
    truth_row: I64
    """[n_truth] index into `asked`, ascending"""
    truth_item: I64
    """[n_truth] positions in the catalogue, distinct per user"""
    repeats: bool
    """Whether the truth may hold items that the user had touched before"""


def hold_out(
    histories: Histories, n_items: int, repeats: bool, rng: np.random.Generator, group: Group = ALONE
) -> HeldOut | None:
    """Cut off the newest slice, or more, until MIN_USERS users can be asked.

    If that hides more than MAX_HIDDEN of the behaviours, hide the last item of some users instead. Returns None if even
    then too few users can be asked. With ``repeats``, items that a user had touched are asked for as well.

    All processes of a ``group`` cut at one moment, each its own histories. The first one gets all users who are asked.
    """
    for moment in reversed(slice_borders(group.moments(histories.times))):
        hidden = histories.times >= moment
        n_hidden, n = group.add_up(np.array([hidden.sum(), len(hidden)]))
        if n_hidden > MAX_HIDDEN * n:
            break
        held = _hide(histories, hidden, float(moment), n_items, repeats, rng, group)
        if held:
            return held
    end = max(group.gather(float(histories.times.max(initial=0.0)))) + 1.0
    return _hide(histories, _last_items(histories, rng), end, n_items, repeats, rng, group)


def _last_items(histories: Histories, rng: np.random.Generator) -> Bools:
    """Return whether a behaviour is on the last item of a drawn user, [total].

    Among behaviours of one moment any may be the last.
    """
    user = np.repeat(np.arange(histories.n_users), histories.lengths)
    items = shuffled_ties(histories, rng).items
    ends = histories.offsets[1:][histories.lengths > 0] - 1
    last = np.full(histories.n_users, -1)
    last[histories.lengths > 0] = items[ends]
    drawn = rng.random(histories.n_users) < SHARE_OF_USERS
    chosen: Bools = drawn[user] & (histories.items == last[user])
    return chosen


def _hide(
    histories: Histories,
    hidden: Bools,
    moment: float,
    n_items: int,
    repeats: bool,
    rng: np.random.Generator,
    group: Group,
) -> HeldOut | None:
    user = np.repeat(np.arange(histories.n_users), histories.lengths)
    keys = user * n_items + histories.items
    pairs = np.unique(keys[hidden])
    if not repeats:
        pairs = np.setdiff1d(pairs, keys[~hidden])
    # The friends' items are known as of the end of the data: they would reveal the held-out part.
    train = without_friends(kept(histories, ~hidden))
    pairs = pairs[train.lengths[pairs // n_items] > 0]
    users = np.unique(pairs // n_items)
    if sum(group.gather(len(users))) < MIN_USERS:
        return None
    most = max(MIN_USERS, min(MAX_USERS, int(MAX_SCORES / n_items)))
    users = np.sort(rng.permutation(users)[: -(-most // group.size)])
    pairs = pairs[np.isin(pairs // n_items, users)]
    row = np.searchsorted(users, pairs // n_items)
    parts = group.gather((train.take(users), row, pairs % n_items))
    if group.rank == 0:
        starts = np.cumsum([0, *(asked.n_users for asked, _, _ in parts)])
        asked = joined([asked for asked, _, _ in parts])
        row = np.concatenate([start + row for start, (_, row, _) in zip(starts[:-1], parts, strict=True)])
        return HeldOut(train, moment, asked, row, np.concatenate([item for _, _, item in parts]), repeats)
    return HeldOut(train, moment, train.take(users[:0]), row[:0], pairs[:0], repeats)
