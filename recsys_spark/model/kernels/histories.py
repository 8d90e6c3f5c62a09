"""Users in flat arrays: histories, texts and social items of a batch of users, ready for the user tower.

The Arrow columns are :data:`INPUT_COLUMNS`. A history arrives newest first and is kept oldest first, because the tower
reads it causally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from recsys_spark.numerics.arrays import F32, F64, I64, Bools

INPUT_COLUMNS = ("user_id", "items", "behaviours", "times", "weights", "social_items", "social_weights", "vector")


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row r is ``values[offsets[r]:offsets[r + 1]]``."""

    offsets: I64
    """[n + 1]"""

    @property
    def lengths(self) -> I64:
        """Return the row lengths, [n]."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Histories(Ragged):
    """A batch of n users; the flat arrays are oldest first within a user."""

    user_ids: npt.NDArray[np.object_]
    """[n]"""
    items: I64
    """[total] positions in the item matrix"""
    behaviours: I64
    """[total] positions in the list of behaviour types"""
    times: F64
    """[total] seconds since 1970"""
    weights: F32
    """[total] behaviour weight x value transform x decay, positive"""
    social_offsets: I64
    """[n + 1]"""
    social_items: I64
    """[social total] positions in the item matrix"""
    social_weights: F32
    """[social total]"""
    texts: F32
    """[n, h] profile text vectors; zero rows where `has_text` is false"""
    has_text: Bools
    """[n]"""

    @property
    def n_users(self) -> int:
        """Return the number of users."""
        return len(self.user_ids)

    @property
    def has_social(self) -> Bools:
        """Return whether each user has neighbours with items, [n]."""
        return np.diff(self.social_offsets) > 0

    def take(self, rows: I64) -> Histories:
        """Return the users at ``rows``, in that order."""
        flat, offsets = _take_flat(self.offsets, rows)
        social, social_offsets = _take_flat(self.social_offsets, rows)
        return Histories(
            offsets=offsets,
            user_ids=self.user_ids[rows],
            items=self.items[flat],
            behaviours=self.behaviours[flat],
            times=self.times[flat],
            weights=self.weights[flat],
            social_offsets=social_offsets,
            social_items=self.social_items[social],
            social_weights=self.social_weights[social],
            texts=self.texts[rows],
            has_text=self.has_text[rows],
        )


def joined(parts: Sequence[Histories]) -> Histories:
    """Return the users of several batches as one."""

    def offsets(name: str) -> I64:
        lengths = np.concatenate([np.diff(getattr(part, name)) for part in parts])
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    flat = [field.name for field in fields(Histories) if not field.name.endswith("offsets")]
    values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in flat}
    return Histories(offsets=offsets("offsets"), social_offsets=offsets("social_offsets"), **values)


def first_choices(histories: Histories) -> Bools:
    """Return whether each behaviour [n] is its user's first on the item."""
    rows = np.repeat(np.arange(histories.n_users), histories.lengths)
    pairs = rows * (int(histories.items.max(initial=0)) + 1) + histories.items
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[np.unique(pairs, return_index=True)[1]] = True
    return is_first


def shuffled_ties(histories: Histories, rng: np.random.Generator) -> Histories:
    """Return the same users with behaviours of one instant in a random order.

    Behaviours without times, or with dates only, have no order among themselves.
    """
    rows = np.repeat(np.arange(histories.n_users), histories.lengths)
    order = np.lexsort((rng.random(len(rows)), histories.times, rows))
    return replace(
        histories,
        items=histories.items[order],
        behaviours=histories.behaviours[order],
        times=histories.times[order],
        weights=histories.weights[order],
    )


def kept(histories: Histories, keep: Bools) -> Histories:
    """Return the same users with only the behaviours where ``keep``, over the flat arrays, is true."""
    return replace(
        histories,
        offsets=_kept_offsets(histories.offsets, keep),
        items=histories.items[keep],
        behaviours=histories.behaviours[keep],
        times=histories.times[keep],
        weights=histories.weights[keep],
    )


def without_friends(histories: Histories) -> Histories:
    """Return the same users without the items of their friends."""
    return with_social(histories, histories.social_items, np.zeros(len(histories.social_items), bool))


def with_social(histories: Histories, items: I64, keep: Bools) -> Histories:
    """Return the same users with other social items: ``items`` where ``keep`` is true."""
    return replace(
        histories,
        social_offsets=_kept_offsets(histories.social_offsets, keep),
        social_items=items[keep],
        social_weights=histories.social_weights[keep],
    )


class Positions:
    """Looks up the positions of ids in a sorted list. An unknown id has position -1."""

    def __init__(self, ids: Sequence[str] | npt.NDArray[np.object_]) -> None:
        self._index = pd.Index(np.asarray(ids, dtype=object))

    def of(self, ids: npt.NDArray[np.object_]) -> I64:
        """Return the positions of ``ids``, [n]."""
        return np.asarray(self._index.get_indexer(pd.Index(ids, dtype=object)), dtype=np.int64)


def from_arrow(
    batch: pa.RecordBatch | pa.Table, items: Positions, behaviours: Mapping[str, int], text_width: int
) -> Histories:
    """Return :class:`Histories` from the Arrow columns INPUT_COLUMNS.

    Items that are not in ``items`` are dropped. Behaviour types that are not in ``behaviours`` get the extra last
    position, ``len(behaviours)``.
    """
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    n = table.num_rows
    offsets, values = _ragged(table, "items", "behaviours", "times", "weights")
    # Newest first in the profile, oldest first here.
    order = _reversed_rows(offsets)
    positions = items.of(values["items"].to_numpy(zero_copy_only=False))[order]
    kinds = Positions(list(behaviours)).of(values["behaviours"].to_numpy(zero_copy_only=False))[order]
    kinds = np.where(kinds < 0, len(behaviours), kinds)
    times = values["times"].to_numpy(zero_copy_only=False).astype(np.float64)[order]
    weights = values["weights"].to_numpy(zero_copy_only=False).astype(np.float32)[order]
    keep = positions >= 0
    social_offsets, social = _ragged(table, "social_items", "social_weights")
    social_positions = items.of(social["social_items"].to_numpy(zero_copy_only=False))
    social_weights = social["social_weights"].to_numpy(zero_copy_only=False).astype(np.float32)
    social_keep = social_positions >= 0
    texts, has_text = vectors_of(table["vector"], text_width)
    return Histories(
        offsets=_kept_offsets(offsets, keep),
        user_ids=table["user_id"].to_numpy().astype(object) if n else np.empty(0, dtype=object),
        items=positions[keep],
        behaviours=kinds[keep],
        times=times[keep],
        weights=weights[keep],
        social_offsets=_kept_offsets(social_offsets, social_keep),
        social_items=social_positions[social_keep],
        social_weights=social_weights[social_keep],
        texts=texts,
        has_text=has_text,
    )


def _ragged(table: pa.Table, *names: str) -> tuple[I64, dict[str, pa.Array]]:
    """Return common offsets and flat values of list columns of equal lengths; a null list is empty."""
    values: dict[str, pa.Array] = {}
    offsets = np.zeros(table.num_rows + 1, dtype=np.int64)
    for name in names:
        column = table[name].combine_chunks()
        lengths = np.nan_to_num(pa.compute.list_value_length(column).to_numpy(zero_copy_only=False)).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values[name] = column.flatten()
    return offsets, values


def _reversed_rows(offsets: I64) -> I64:
    """Return the flat order that reverses each row."""
    starts = np.repeat(offsets[:-1], np.diff(offsets))
    ends = np.repeat(offsets[1:], np.diff(offsets))
    return starts + ends - 1 - np.arange(offsets[-1])


def _kept_offsets(offsets: I64, keep: Bools) -> I64:
    return np.concatenate([[0], np.cumsum(keep)])[offsets].astype(np.int64)


def _take_flat(offsets: I64, rows: I64) -> tuple[I64, I64]:
    """Return the flat positions of the chosen rows, and their new offsets."""
    lengths = np.diff(offsets)[rows]
    new = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.arange(new[-1]) - np.repeat(new[:-1], lengths) + np.repeat(offsets[rows], lengths)
    return flat, new


def vectors_of(column: pa.ChunkedArray | pa.Array, width: int) -> tuple[F32, Bools]:
    """Return the vectors [n, h] and whether each one exists [n]; null rows are zero."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    present = np.asarray(array.is_valid())
    matrix = np.zeros((len(array), width), dtype=np.float32)
    if present.any():
        matrix[present] = array.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix, present
