"""How well text vectors find a user's next item without training: a quick measure of an encoder on given data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys_spark.numerics.arrays import F32, F64, I64
from recsys_spark.numerics.unit_rows import unit_rows

BLOCK_SCORES = 2**22
"""Most scores in memory at once."""


@dataclass(frozen=True)
class Probe:
    """Users with a history and the item that came next. Items are positions in a catalogue sorted by item_id."""

    text_of_item: I64
    """[n_items] which of the distinct texts an item has"""
    targets: I64
    """[n_users] the item to be found"""
    history_offsets: I64
    """[n_users + 1]"""
    history_items: I64
    """[total]"""
    history_weights: F64
    """[total] positive"""
    seen_offsets: I64
    """[n_users + 1]"""
    seen_items: I64
    """[seen total] items that no list may hold; never the target"""

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.targets)

    @property
    def n_items(self) -> int:
        """Number of items that are ranked."""
        return len(self.text_of_item)


def target_ranks(text_vectors: F32, probe: Probe) -> I64:
    """Return the rank ``[n_users]`` of each user's target, from 1, among all items not seen; ties by item_id.

    ``text_vectors`` ``[n_texts, h]`` are centred on the catalogue's mean, as in training, and scaled to length 1. A
    query is the weighted mean of a history's vectors. A score is the inner product of a query and an item's vector.

    >>> probe = Probe(*map(np.array, ([0, 1, 2], [1], [0, 1], [0], [1.0], [0, 1], [0])))
    >>> target_ranks(np.array([[1, 0.2], [1, 0.1], [-1, 0]], np.float32), probe).tolist()
    [1]
    """
    unit = unit_rows((text_vectors - text_vectors[probe.text_of_item].mean(0)).astype(np.float32))
    ranks = np.zeros(probe.n_users, np.int64)
    n_rows = max(1, BLOCK_SCORES // max(1, probe.n_items))
    for start in range(0, probe.n_users, n_rows):
        users = np.arange(start, min(start + n_rows, probe.n_users))
        # Scored by text, so that items of one text have equal scores to the last bit.
        scores = (_queries(unit, probe, users) @ unit.T)[:, probe.text_of_item]
        rows, seen = _rows_of(probe.seen_offsets, users)
        scores[rows, probe.seen_items[seen]] = -np.inf
        target = probe.targets[users, None]
        own = np.take_along_axis(scores, target, axis=1)
        before = (scores > own) | ((scores == own) & (np.arange(probe.n_items) < target))
        ranks[users] = 1 + before.sum(1)
    return ranks


def _queries(unit: F32, probe: Probe, users: I64) -> F32:
    """Return weighted means [b, h]; they are not normalised, because their length does not change the order."""
    rows, flat = _rows_of(probe.history_offsets, users)
    weights = probe.history_weights[flat]
    shares = weights / np.bincount(rows, weights, minlength=len(users))[rows]
    queries = np.zeros((len(users), unit.shape[1]), np.float64)
    np.add.at(queries, rows, shares[:, None] * unit[probe.text_of_item[probe.history_items[flat]]])
    return queries.astype(np.float32)


def _rows_of(offsets: I64, users: I64) -> tuple[I64, I64]:
    """Return, for each entry of consecutive users, the row in the block and the flat position."""
    start, stop = int(offsets[users[0]]), int(offsets[users[-1] + 1])
    lengths = np.diff(offsets[users[0] : users[-1] + 2])
    return np.repeat(np.arange(len(users)), lengths), np.arange(start, stop)
