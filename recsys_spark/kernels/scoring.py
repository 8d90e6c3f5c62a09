"""Rows of (user block, item block) in, rows of (user, item, terms) out: the fold driven by a stream of Arrow rows.

Consecutive rows of one user block are folded into one state, which is emitted when the user block changes. That saves
rows, not correctness: parts of a user that are emitted apart are merged by the window that follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from recsys_spark.kernels.blocks import ItemBlock, UserBlock
from recsys_spark.kernels.packing import Row, unpack_items, unpack_users
from recsys_spark.kernels.topn import NO_ITEM, State, Weights, empty_state, fold

USERS_PER_BATCH = 2048


def score_pairs(batches: Iterator[pa.RecordBatch], weights: Weights, n: int) -> Iterator[pa.RecordBatch]:
    """Rows of USER_BLOCKS x ITEM_BLOCKS -> rows of SCORED, at most ``n`` per user and part.

    Each part of a user has one row with ``first`` true, on which ``log_sum`` counts; a user who may get nothing has
    just that row, its item_id null.
    """
    catalogue = Catalogue()
    current: tuple[int, Row, UserBlock, State] | None = None
    cached: tuple[int, ItemBlock] | None = None
    for batch in batches:
        for number in range(batch.num_rows):
            row = {name: batch[name][number] for name in batch.schema.names}
            if cached is None or cached[0] != row["start"].as_py():
                cached = row["start"].as_py(), unpack_items(row)
                catalogue.add(cached[0], row["item_ids"].values)
            if current is None or current[0] != row["block"].as_py():
                if current is not None:
                    yield from _emit(current[1], current[3], catalogue)
                users = unpack_users(row)
                names = {name: row[name] for name in ("user_ids", "sources")}
                current = row["block"].as_py(), names, users, empty_state(users.size, n)
            block, names, users, state = current
            current = block, names, users, fold(state, users, cached[1], weights)
    if current is not None:
        yield from _emit(current[1], current[3], catalogue)


@dataclass
class Catalogue:
    """Ids of the item blocks that this task has seen, by position."""

    blocks: dict[int, pa.Array] = field(default_factory=dict)

    def add(self, start: int, ids: pa.Array) -> None:
        """Keep a copy of a block's ids: a view would hold on to the whole batch with its vectors."""
        if start not in self.blocks:
            self.blocks[start] = pa.concat_arrays([ids, ids[:0].cast(pa.string())]) if len(ids) else ids
            self.blocks = dict(sorted(self.blocks.items()))

    def names(self, positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.ChunkedArray:
        """The ids at catalogue positions, null at NO_ITEM."""
        starts = np.array(list(self.blocks))
        lengths = np.array([len(ids) for ids in self.blocks.values()])
        block = np.searchsorted(starts, positions, "right") - 1
        places = positions - starts[block] + (np.cumsum(lengths) - lengths)[block]
        return pa.chunked_array(list(self.blocks.values())).take(pa.array(places, mask=positions == NO_ITEM))


def _emit(names: Row, state: State, catalogue: Catalogue) -> Iterator[pa.RecordBatch]:
    for low in range(0, len(state.log_sum), USERS_PER_BATCH):
        part = state.rows(slice(low, low + USERS_PER_BATCH))
        kept = part.position != NO_ITEM
        kept[:, 0] = True
        user, slot = np.nonzero(kept)
        position = part.position[user, slot]
        empty = position == NO_ITEM
        columns = {
            **{name: names[source].values.take(pa.array(low + user)) for name, source in NAMES.items()},
            "item_id": catalogue.names(position).combine_chunks(),
            "cosine": pa.array(part.cosine[user, slot], mask=empty),
            "logit": pa.array(part.logit[user, slot], mask=empty),
            "raw": pa.array(part.raw[user, slot], mask=empty),
            "log_sum": pa.array(part.log_sum[user]),
            "first": pa.array(slot == 0),
        }
        yield pa.record_batch(columns)


NAMES = {"user_id": "user_ids", "source": "sources"}
