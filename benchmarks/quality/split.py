"""What a method may see and what it is asked for: by time, by the last item, by a hash, or whole users.

A split's `train` is a World without a single row of the truth, so a method that is handed it cannot look. Tuning splits
`train` again in the same way, and sees nothing of the test either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.quality.data import Doubles, Longs, Mask, World

TRAIN_SHARE = 0.9
HIDDEN_USERS = 0.1
TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True)
class Split:
    """One protocol on one data set."""

    protocol: str
    purpose: str
    """TEST or VALIDATION"""
    train: World
    truth_user: Longs
    """[n_truth] ascending"""
    truth_item: Longs
    """[n_truth] ascending within a user; no pair twice, and none that is in train"""
    truth_time: Doubles
    """[n_truth] Rows.time of the first row of the pair that is hidden"""

    @property
    def label(self) -> str:
        """What paired figures must have in common: the data set, the protocol and a fingerprint of the truth and the train rows."""
        digest = hashlib.sha256()
        rows = self.train.rows
        for column in (self.truth_user, self.truth_item, rows.user, rows.item):
            digest.update(np.ascontiguousarray(column).tobytes())
        return f"{self.train.name}-{self.protocol}-{digest.hexdigest()[:12]}"

    def next_items(self) -> tuple[Longs, Longs]:
        """Users with a truth, ascending, and of each the first item of it by time, ties by item id; any one where there are no times."""
        order = np.lexsort((self.truth_item, self.truth_time, self.truth_user))
        users, first = np.unique(self.truth_user[order], return_index=True)
        return users, self.truth_item[order][first]


def split_by_time(world: World, purpose: str) -> Split:
    """Train before the second of the interaction at TRAIN_SHARE of all in time order, truth at and after it."""
    times = np.sort(world.rows.time)
    cut = times[min(int(TRAIN_SHARE * len(times)), len(times) - 1)]
    return _split(
        "time", world, purpose, world.rows.time < cut,
        world.taggings.time < cut, world.profile_taggings.time < cut,
    )  # fmt: skip


def split_last(world: World, purpose: str) -> Split:
    """The truth is each user's last item (by its latest row, ties by the greater item id), of users with two or more."""
    user, item, keys = _pairs(world)
    last = np.full(len(keys), -np.inf)
    np.maximum.at(last, np.searchsorted(keys, _keys(world)), world.rows.time)
    order = np.lexsort((item, last, user))
    return _hide("last", world, purpose, order, user, keys)


def split_hash(world: World, purpose: str) -> Split:
    """The truth is one item of each user with two or more, the one with the smallest hash: for data without order."""
    user, item, keys = _pairs(world)
    names = (
        f"{purpose}\0{u}\0{i}" for u, i in zip(world.users[user].tolist(), world.items[item].tolist(), strict=True)
    )
    # Descending, so that the smallest is a user's last.
    order = np.lexsort((item, ~hashes(names), user))
    return _hide("hash", world, purpose, order, user, keys)


def split_users(world: World, purpose: str) -> Split:
    """All rows of every tenth user (by hash) are hidden: those are known by tags and friends only."""
    drawn = hashes(f"{purpose}\0{user}" for user in world.users.tolist()) < np.uint64(int(HIDDEN_USERS * 2**64))
    keep, said = ~drawn[world.rows.user], ~drawn[world.taggings.user]
    return _split("users", world, purpose, keep, said, np.ones(len(world.profile_taggings.user), bool))


PROTOCOLS: Mapping[str, Callable[[World, str], Split]] = {
    "time": split_by_time,
    "last": split_last,
    "hash": split_hash,
    "users": split_users,
}


def protocols_of(world: World) -> list[str]:
    """Those that make sense on these data, the main one first."""
    main = ["time", "last"] if world.has_times else ["last"] if world.has_order else ["hash"]
    return [*main, *(["users"] if len(world.friends) or len(world.profile_taggings.tag) else [])]


def validation_of(split: Split) -> Split:
    """The same cut once more, within train: what tuning looks at."""
    return PROTOCOLS[split.protocol](split.train, VALIDATION)


def hashes(names: Iterable[str]) -> npt.NDArray[np.uint64]:
    """64 bits of each name, the same on every machine."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _keys(world: World) -> Longs:
    """[n_rows] a number for each (user, item)."""
    return world.rows.user * world.n_items + world.rows.item


def _pairs(world: World) -> tuple[Longs, Longs, Longs]:
    """Distinct (user, item) and their keys, ascending."""
    keys = np.unique(_keys(world))
    return keys // world.n_items, keys % world.n_items, keys


def _hide(protocol: str, world: World, purpose: str, order: Longs, user: Longs, keys: Longs) -> Split:
    """Hide the last pair of each user in ``order``, which is by user; users with one pair keep it."""
    ordered = user[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True) if len(ordered) else np.empty(0, bool)
    hidden = np.sort(keys[order[is_last & (np.bincount(user, minlength=world.n_users)[ordered] >= 2)]])
    said, profile = (
        ~np.isin(some.user * world.n_items + some.item, hidden) for some in (world.taggings, world.profile_taggings)
    )
    return _split(protocol, world, purpose, ~np.isin(_keys(world), hidden), said, profile)


def _split(protocol: str, world: World, purpose: str, keep: Mask, said: Mask, profile: Mask) -> Split:
    """The truth is every pair of the other rows that train does not have: what was seen is left out of every list."""
    train = world.only(keep, said, profile)
    hidden = _keys(world)[~keep]
    truth = np.setdiff1d(hidden, _keys(train))
    asked, first = np.isin(hidden, truth), np.full(len(truth), np.inf)
    np.minimum.at(first, np.searchsorted(truth, hidden[asked]), world.rows.time[~keep][asked])
    return Split(protocol, purpose, train, truth // world.n_items, truth % world.n_items, first)
