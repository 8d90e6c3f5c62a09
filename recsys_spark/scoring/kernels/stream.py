"""Rows of (user block, item block) in, rows of (user, item, terms) out: the fold driven by a stream of Arrow rows.

Consecutive rows of one user block are folded into one state, which is emitted when the user block, or the segment of the
item blocks, changes. That saves rows, not correctness: parts of a user that are emitted apart are merged by the window
that follows. Where one item block holds the catalogue, a part is the list, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from recsys_spark.numerics.arrays import I64, NO_ITEM
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.scoring.kernels.boosted import Fold, UserBoosts, fold_boosted
from recsys_spark.scoring.kernels.prepared import Weights
from recsys_spark.scoring.kernels.topn import State, empty_state
from recsys_spark.scoring.kernels.unpacking import own_copy, unpack_boosts, unpack_items, unpack_users

ROWS_PER_BATCH = 131_072


def score_pairs(
    batches: Iterator[pa.RecordBatch], weights: Weights, n: int, fold: Fold, *, whole: bool
) -> Iterator[pa.RecordBatch]:
    """Rows of USER_BLOCKS x ITEM_BLOCKS -> rows of PARTS, or of LISTS where each item block is the ``whole`` catalogue.

    At most ``n`` rows per user and part. In PARTS each part of a user has one row with ``first`` true, on which
    ``log_sum`` counts; a user who may get nothing has just that row, its item_id null. LISTS has no row for such a user.
    """
    catalogue = Catalogue()
    current: Part | None = None
    items: ItemBlock | None = None
    for batch in batches:
        for number in range(batch.num_rows):
            row = {name: batch[name][number] for name in batch.schema.names}
            start, segment, block = (row[name].as_py() for name in ("start", "segment", "block"))
            if items is None or items.start != start:
                items = unpack_items(row)
                catalogue.add(start, row["item_ids"].values)
            if current is None or (current.block, current.segment) != (block, segment):
                if current is not None:
                    yield from current.rows(catalogue, weights, whole=whole)
                if current is not None and current.block == block:
                    users, boosts, names = current.users, current.boosts, current.names
                else:
                    users, boosts = unpack_users(row), unpack_boosts(row)
                    names = {name: own_copy(row[name].values) for name in NAMES.values()}
                current = Part(block, segment, names, users, boosts, empty_state(users.size, n))
            current.state = fold_boosted(fold, current.state, current.users, current.boosts, items, weights)
    if current is not None:
        yield from current.rows(catalogue, weights, whole=whole)


@dataclass
class Catalogue:
    """Ids of the item blocks that this task has seen, by position."""

    blocks: dict[int, pa.Array] = field(default_factory=dict)

    def add(self, start: int, ids: pa.Array) -> None:
        """Keep a copy of a block's ids."""
        if start not in self.blocks:
            self.blocks[start] = own_copy(ids)
            self.blocks = dict(sorted(self.blocks.items()))

    def names(self, positions: I64) -> pa.Array:
        """The ids at catalogue positions, null at NO_ITEM."""
        starts = np.array(list(self.blocks))
        lengths = np.array([len(ids) for ids in self.blocks.values()])
        block = np.searchsorted(starts, positions, "right") - 1
        places = positions - starts[block] + (np.cumsum(lengths) - lengths)[block]
        ids = pa.chunked_array(list(self.blocks.values())).take(pa.array(places, mask=positions == NO_ITEM))
        return ids.combine_chunks()


@dataclass
class Part:
    """A user block's state over the item blocks of one segment that came one after another."""

    block: int
    segment: str | None
    names: dict[str, pa.Array]
    users: UserBlock
    boosts: UserBoosts
    state: State

    def rows(self, catalogue: Catalogue, weights: Weights, *, whole: bool) -> Iterator[pa.RecordBatch]:
        """The part's rows, some users at a time."""
        m, n = self.state.position.shape
        step = max(1, ROWS_PER_BATCH // n)
        for low in range(0, m, step):
            part = self.state.rows(slice(low, low + step))
            if whole:
                part = by_score(part, weights)
            kept = part.position != NO_ITEM
            if not whole:
                kept[:, 0] = True
            user, slot = np.nonzero(kept)
            ids = catalogue.names(part.position[user, slot])
            columns = {name: self.names[source].take(pa.array(low + user)) for name, source in NAMES.items()}
            terms = _list_terms if whole else self._part_terms
            yield pa.record_batch({**columns, "item_id": ids, **terms(part, user, slot, weights)})

    def _part_terms(self, part: State, user: I64, slot: I64, _weights: Weights) -> dict[str, pa.Array]:
        empty = part.position[user, slot] == NO_ITEM
        terms = ((name, getattr(part, name)[user, slot]) for name in ("cosine", "logit", "raw"))
        return {
            "segment": pa.repeat(pa.scalar(self.segment, pa.string()), len(user)),
            **{name: pa.array(values, mask=empty) for name, values in terms},
            "log_sum": pa.array(part.log_sum[user]),
            "first": pa.array(slot == 0),
        }


def by_score(part: State, weights: Weights) -> State:
    """The lists by (score desc, position asc): taking log Z off may round two raw scores to one, and equal ones go by id."""
    if not weights.log_z:
        return part
    score = part.raw - weights.ce * part.log_sum[:, None]
    tied = (score[:, 1:] == score[:, :-1]) & (part.position[:, 1:] < part.position[:, :-1])
    users = np.flatnonzero((tied & (part.position[:, 1:] != NO_ITEM)).any(axis=1))
    if not len(users):
        return part
    part = part.copy()
    order = np.lexsort((part.position[users], -score[users]))
    for values in (part.position, part.cosine, part.logit, part.raw):
        values[users] = np.take_along_axis(values[users], order, axis=1)
    return part


def _list_terms(part: State, user: I64, slot: I64, weights: Weights) -> dict[str, pa.Array]:
    log_z = part.log_sum[user] if weights.log_z else np.zeros(len(user))
    log_prob = part.logit[user, slot] - log_z
    return {
        "rank": pa.array((slot + 1).astype(np.int32)),
        "cosine": pa.array(part.cosine[user, slot]),
        "log_prob": pa.array(log_prob) if weights.log_z else pa.nulls(len(user), pa.float64()),
        "score": pa.array(part.raw[user, slot] - weights.ce * log_z),
    }


NAMES = {"user_id": "user_ids", "source": "sources"}
