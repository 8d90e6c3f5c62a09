"""What the quality benchmark evaluates on: one data set in integer codes, and the settings that describe its data.

Users and items are numbered in the order of their ids (strings), so a smaller number is a smaller id: "ties by item id"
is "ties by number" everywhere below.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_spark.config.encoder import Encoder
from recsys_spark.config.sections import Behaviours, Profiles
from recsys_spark.numerics.arrays import F64, I64, Bools

CONF = Path(__file__).parents[2] / "conf" / "datasets"


@dataclass(frozen=True)
class Rows:
    """n interactions, in no order."""

    user: I64
    """[n]"""
    item: I64
    """[n]"""
    time: F64
    """[n] seconds, or 0 if the data have no times"""
    behaviour: I64
    """[n] index into World.behaviours"""
    value: F64
    """[n] hours or plays; NaN if there are none"""

    def __len__(self) -> int:
        return len(self.user)

    def take(self, some: Bools | I64) -> Rows:
        """Return the rows that a mask or positions name."""
        return Rows(*(getattr(self, column.name)[some] for column in fields(self)))


@dataclass(frozen=True)
class Taggings:
    """m free tags: a user called an item something."""

    user: I64
    """[m]"""
    item: I64
    """[m]"""
    time: F64
    """[m] seconds; inf if unknown, so that it is not before any cut"""
    tag: npt.NDArray[np.object_]
    """[m] as written"""

    def take(self, some: Bools | I64) -> Taggings:
        """Return the taggings that a mask or positions name."""
        return Taggings(*(getattr(self, column.name)[some] for column in fields(self)))


NO_TAGGINGS = Taggings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, object))


@dataclass(frozen=True)
class Described:
    """What `conf/datasets` says of the data themselves, without how the model trains."""

    behaviours: Behaviours
    encoder: Encoder
    profiles: Profiles = field(default_factory=Profiles)
    popular_half_life_days: float = 30.0


@dataclass(frozen=True)
class World:
    """A data set, or the part of it that a method may see: a split hands out worlds with fewer rows and taggings."""

    name: str
    users: npt.NDArray[np.object_]
    """[n_users] ids, ascending"""
    items: npt.NDArray[np.object_]
    """[n_items] the whole catalogue, ids ascending"""
    rows: Rows
    behaviours: tuple[str, ...]
    """Types, ascending"""
    titles: Sequence[str | None]
    """[n_items]"""
    settings: Described
    has_times: bool = False
    """Whether Rows.time compares between users."""
    has_order: bool = False
    """Whether Rows.time orders a user's rows."""
    descriptions: Sequence[str | None] = ()
    """[n_items], or none at all"""
    item_tags: Sequence[Sequence[str]] = ()
    """[n_items] tags that the catalogue itself has (genres), or none at all"""
    taggings: Taggings = NO_TAGGINGS
    """What an item's text may tell"""
    profile_taggings: Taggings = NO_TAGGINGS
    """What a user's profile may tell, also of users whose rows are all hidden"""
    friends: I64 = field(default_factory=lambda: np.empty((0, 2), np.int64))
    """[n, 2] (user, friend)"""
    min_items_per_tag: int = 1
    """A user's tag is an interest if it was put on at least this number of items."""

    @property
    def n_users(self) -> int:
        """Number of users, those without a row included."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items, those without a row included."""
        return len(self.items)

    @property
    def as_of(self) -> float:
        """The moment after the last row."""
        return float(self.rows.time.max(initial=0.0)) + 1.0

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """[n_users, n_items] float32, 1 where the user did anything with the item."""
        ones = np.ones(len(self.rows), np.float32)
        found = sp.csr_matrix((ones, (self.rows.user, self.rows.item)), shape=(self.n_users, self.n_items))
        found.sum_duplicates()
        found.sort_indices()
        found.data[:] = 1.0
        return found

    def only(self, rows: Bools, taggings: Bools, profile_taggings: Bools) -> World:
        """Return the same catalogue and people, with some of the rows and taggings."""
        return replace(
            self,
            rows=self.rows.take(rows),
            taggings=self.taggings.take(taggings),
            profile_taggings=self.profile_taggings.take(profile_taggings),
        )


def coded(
    user_ids: Sequence[str], item_ids: Sequence[str], catalogue: Sequence[str], others: Sequence[str] = ()
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_], I64, I64]:
    """Return users and items in ascending order, and the codes of each row.

    ``catalogue``: items that may have no row. ``others``: users that may have none.

    >>> users, items, user, item = coded(["b", "a"], ["2", "10"], ["7"])
    >>> users.tolist(), items.tolist(), user.tolist(), item.tolist()
    (['a', 'b'], ['10', '2', '7'], [1, 0], [1, 0])
    """
    users = np.array(sorted({*user_ids, *others}), object)
    items = np.array(sorted({*item_ids, *catalogue}), object)
    return users, items, codes(users, user_ids), codes(items, item_ids)


def codes(known: npt.NDArray[np.object_], ids: Sequence[str]) -> I64:
    """Return positions of ``ids`` among the known ones; -1 if unknown."""
    of = {name: number for number, name in enumerate(known)}
    return np.fromiter((of.get(name, -1) for name in ids), np.int64, len(ids))


def described(name: str, encoder: Mapping[str, Any] | None = None) -> Described:
    """Return the settings of a file of conf/datasets; ``encoder`` replaces values of its section."""
    document = tomllib.loads((CONF / f"{name}.toml").read_text("utf-8"))
    return Described(
        behaviours=Behaviours(**document["behaviours"]),
        encoder=Encoder(**{**document["encoder"], **(encoder or {})}),
        profiles=Profiles(**document.get("profiles", {})),
        popular_half_life_days=document.get("rerank", {}).get("popular_half_life_days", 30.0),
    )
