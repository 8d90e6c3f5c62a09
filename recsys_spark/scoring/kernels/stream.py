"""Drives the fold with a stream of Arrow rows: pairs of a user block and an item block in, rows of user and item out.

Consecutive rows of one user block are folded into one state. It is emitted when the user block changes, or the
category of the item blocks. That only saves rows: the window that follows merges the parts of a user. Where one item
block holds the catalogue, a part is the list, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from recsys_spark.numerics.arrays import I64
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.boosted import Fold, UserBoosts, fold_boosted
from recsys_spark.scoring.kernels.rank import Rank, less_log_z
from recsys_spark.scoring.kernels.sizes import NO_ITEM
from recsys_spark.scoring.kernels.topn import State, empty_state
from recsys_spark.scoring.kernels.unpacking import own_copy, unpack_boosts, unpack_items, unpack_users

ROWS_PER_BATCH = 131_072


def score_pairs(
    batches: Iterator[pa.RecordBatch], rank: Rank, n: int, fold: Fold, *, whole: bool
) -> Iterator[pa.RecordBatch]:
    """Turn rows of USER_BLOCKS x ITEM_BLOCKS into PARTS, or into LISTS where an item block is the ``whole`` catalogue.

    A user has at most ``n`` rows per part. In PARTS each part has one row with ``first`` true, whose ``log_sum``
    counts. A user who may get nothing has only that row, with a null item_id. LISTS has no row for such a user.
    """
    catalogue = Catalogue()
    current: Part | None = None
    items: ItemBlock | None = None
    for batch in batches:
        for number in range(batch.num_rows):
            row = {name: batch[name][number] for name in batch.schema.names}
            start, category, block = (row[name].as_py() for name in ("start", "category", "block"))
            if items is None or items.start != start:
                items = unpack_items(row)
                catalogue.add(start, row["item_ids"].values)
            if current is None or (current.block, current.category) != (block, category):
                if current is not None:
                    yield from current.rows(catalogue, rank, whole=whole)
                if current is not None and current.block == block:
                    users, boosts, names = current.users, current.boosts, current.names
                else:
                    users, boosts = unpack_users(row), unpack_boosts(row)
                    names = {name: own_copy(row[name].values) for name in NAMES.values()}
                current = Part(block, category, names, users, boosts, empty_state(users.size, n))
            current.state = fold_boosted(fold, current.state, current.users, current.boosts, items, rank)
    if current is not None:
        yield from current.rows(catalogue, rank, whole=whole)


@dataclass
class Catalogue:
    """Ids of the item blocks that a task has seen, by position."""

    blocks: dict[int, pa.Array] = field(default_factory=dict)

    def add(self, start: int, ids: pa.Array) -> None:
        """Keep a copy of a block's ids."""
        if start not in self.blocks:
            self.blocks[start] = own_copy(ids)
            self.blocks = dict(sorted(self.blocks.items()))

    def names(self, positions: I64) -> pa.Array:
        """Return the ids at catalogue positions, null at NO_ITEM."""
        starts = np.array(list(self.blocks))
        lengths = np.array([len(ids) for ids in self.blocks.values()])
        block = np.searchsorted(starts, positions, "right") - 1
        places = positions - starts[block] + (np.cumsum(lengths) - lengths)[block]
        ids = pa.chunked_array(list(self.blocks.values())).take(pa.array(places, mask=positions == NO_ITEM))
        return ids.combine_chunks()


@dataclass
class Part:
    """The state of a user block after consecutive item blocks of one category."""

    block: int
    category: str | None
    names: dict[str, pa.Array]
    users: UserBlock
    boosts: UserBoosts
    state: State

    def rows(self, catalogue: Catalogue, rank: Rank, *, whole: bool) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the part, some users at a time."""
        m, n = self.state.position.shape
        step = max(1, ROWS_PER_BATCH // n)
        for low in range(0, m, step):
            part = self.state.rows(slice(low, low + step))
            if whole:
                part = by_score(part, rank)
            kept = part.position != NO_ITEM
            if not whole:
                kept[:, 0] = True
            user, slot = np.nonzero(kept)
            ids = catalogue.names(part.position[user, slot])
            columns = {name: self.names[source].take(pa.array(low + user)) for name, source in NAMES.items()}
            terms = _list_terms if whole else self._part_terms
            yield pa.record_batch({**columns, "item_id": ids, **terms(part, user, slot, rank)})

    def _part_terms(self, part: State, user: I64, slot: I64, _rank: Rank) -> dict[str, pa.Array]:
        empty = part.position[user, slot] == NO_ITEM
        terms = ((name, getattr(part, name)[user, slot]) for name in ("cosine", "logit", "raw"))
        return {
            "category": pa.repeat(pa.scalar(self.category, pa.string()), len(user)),
            **{name: pa.array(values, mask=empty) for name, values in terms},
            "log_sum": pa.array(part.log_sum[user]),
            "first": pa.array(slot == 0),
        }


def by_score(part: State, rank: Rank) -> State:
    """Return the lists ordered by (score desc, position asc).

    Two raw scores may round to one score when log Z is subtracted, and equal scores are ordered by id.
    """
    if not rank.log_z:
        return part
    score = less_log_z(rank, part.raw, part.log_sum[:, None])
    tied = (score[:, 1:] == score[:, :-1]) & (part.position[:, 1:] < part.position[:, :-1])
    users = np.flatnonzero((tied & (part.position[:, 1:] != NO_ITEM)).any(axis=1))
    if not len(users):
        return part
    part = part.copy()
    order = np.lexsort((part.position[users], -score[users]))
    for values in (part.position, part.cosine, part.logit, part.raw):
        values[users] = np.take_along_axis(values[users], order, axis=1)
    return part


def _list_terms(part: State, user: I64, slot: I64, rank: Rank) -> dict[str, pa.Array]:
    log_z = part.log_sum[user] if rank.log_z else np.zeros(len(user))
    log_prob = part.logit[user, slot] - log_z
    return {
        "rank": pa.array((slot + 1).astype(np.int32)),
        "cosine": pa.array(part.cosine[user, slot]),
        "log_prob": pa.array(log_prob) if rank.log_z else pa.nulls(len(user), pa.float64()),
        "score": pa.array(less_log_z(rank, part.raw[user, slot], log_z)),
    }


NAMES = {"user_id": "user_ids", "source": "sources"}
