"""What a method may see and what it is asked for: by time, by the last item, by a hash, or whole users.

A split's `train` is a World without a single row of the truth, so a method that is handed it cannot look. Tuning splits
`train` again in the same way, and sees nothing of the test either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.data import World
from recsys_spark.numerics.arrays import F64, I64, U64, Bools

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
    truth_user: I64
    """[n_truth] ascending"""
    truth_item: I64
    """[n_truth] ascending within a user; no pair twice, and none that is in train"""
    truth_time: F64
    """[n_truth] Rows.time of the first row of the pair that is hidden"""

    @property
    def label(self) -> str:
        """The data set, the protocol and a fingerprint of truth and train rows, which paired figures must share."""
        digest = hashlib.sha256()
        rows = self.train.rows
        for column in (self.truth_user, self.truth_item, rows.user, rows.item):
            digest.update(np.ascontiguousarray(column).tobytes())
        return f"{self.train.name}-{self.protocol}-{digest.hexdigest()[:12]}"

    def next_items(self) -> tuple[I64, I64]:
        """Return users with a truth, ascending, and the first item of each truth by time, ties by item id.

        Without times it is any one of the truth.
        """
        order = np.lexsort((self.truth_item, self.truth_time, self.truth_user))
        users, first = np.unique(self.truth_user[order], return_index=True)
        return users, self.truth_item[order][first]


def split_by_time(world: World, purpose: str) -> Split:
    """Return train before the second of the interaction at TRAIN_SHARE of all in time order, and truth from it on."""
    times = np.sort(world.rows.time)
    cut = times[min(int(TRAIN_SHARE * len(times)), len(times) - 1)]
    rows, said, profile = (some.time < cut for some in (world.rows, world.taggings, world.profile_taggings))
    return _split("time", world, purpose, rows, said, profile)


def split_last(world: World, purpose: str) -> Split:
    """Return a split whose truth is the last item of each user with two or more.

    An item counts by its latest row, ties by the greater item id.
    """
    user, item, keys = _pairs(world)
    last = np.full(len(keys), -np.inf)
    np.maximum.at(last, np.searchsorted(keys, _keys(world)), world.rows.time)
    order = np.lexsort((item, last, user))
    return _hide("last", world, purpose, order, user, keys)


def split_hash(world: World, purpose: str) -> Split:
    """Return a split for data without order: the truth is each user's item of the smallest hash, of two or more."""
    user, item, keys = _pairs(world)
    names = (
        f"{purpose}\0{u}\0{i}" for u, i in zip(world.users[user].tolist(), world.items[item].tolist(), strict=True)
    )
    # Descending, so that the smallest is a user's last.
    order = np.lexsort((item, ~hashes(names), user))
    return _hide("hash", world, purpose, order, user, keys)


def split_users(world: World, purpose: str) -> Split:
    """Return a split that hides all rows of every tenth user (by hash): only tags and friends of them are known."""
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
    """Return the protocols that make sense on these data, the main one first."""
    main = ["time", "last"] if world.has_times else ["last"] if world.has_order else ["hash"]
    return [*main, *(["users"] if len(world.friends) or len(world.profile_taggings.tag) else [])]


def validation_of(split: Split) -> Split:
    """Return the same cut once more, within train, for tuning."""
    return PROTOCOLS[split.protocol](split.train, VALIDATION)


def hashes(names: Iterable[str]) -> U64:
    """Return 64 bits of each name, the same on every machine."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _keys(world: World) -> I64:
    """[n_rows] a number for each (user, item)."""
    return world.rows.user * world.n_items + world.rows.item


def _pairs(world: World) -> tuple[I64, I64, I64]:
    """Distinct (user, item) and their keys, ascending."""
    keys = np.unique(_keys(world))
    return keys // world.n_items, keys % world.n_items, keys


def _hide(protocol: str, world: World, purpose: str, order: I64, user: I64, keys: I64) -> Split:
    """Hide the last pair of each user in ``order``, which is by user; users with one pair keep it."""
    ordered = user[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True) if len(ordered) else np.empty(0, bool)
    hidden = np.sort(keys[order[is_last & (np.bincount(user, minlength=world.n_users)[ordered] >= 2)]])
    said, profile = (
        ~np.isin(some.user * world.n_items + some.item, hidden) for some in (world.taggings, world.profile_taggings)
    )
    return _split(protocol, world, purpose, ~np.isin(_keys(world), hidden), said, profile)


def _split(protocol: str, world: World, purpose: str, keep: Bools, said: Bools, profile: Bools) -> Split:
    """The truth is every pair of the other rows that train does not have: what was seen is left out of every list."""
    train = world.only(keep, said, profile)
    hidden = _keys(world)[~keep]
    truth = np.setdiff1d(hidden, _keys(train))
    asked, first = np.isin(hidden, truth), np.full(len(truth), np.inf)
    np.minimum.at(first, np.searchsorted(truth, hidden[asked]), world.rows.time[~keep][asked])
    return Split(protocol, purpose, train, truth // world.n_items, truth % world.n_items, first)
