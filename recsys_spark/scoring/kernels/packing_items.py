"""Packs sorted Arrow rows of items into a few rows that each hold one block of arrays.

Vectors are copied once, from the batch they came in to the block they leave in. A packer needs memory for one block and
one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys_spark.errors import ConfigError, DataError
from recsys_spark.numerics.arrays import F32, I32, Bools
from recsys_spark.scoring.kernels.packing import check_finite, check_unique, one_list, vectors
from recsys_spark.scoring.kernels.sizes import TILE
from recsys_spark.scoring.kernels.unpacking import own_copy


def rows_per_block(width: int, max_block_bytes: int) -> int:
    """Return how many items a block of ``max_block_bytes`` holds: whole tiles, or less where not even one tile fits.

    Raises ConfigError where a block cannot hold a single item.

    >>> rows_per_block(64, 64 * 1024 * 1024), rows_per_block(64, 4096)
    (130048, 7)
    """
    row_bytes = 4 * (2 * width + 1)
    rows = max_block_bytes // row_bytes
    if not rows:
        raise ConfigError(
            "score.max_block_bytes is too small for one item",
            where="score.max_block_bytes",
            found=max_block_bytes,
            expected=f"at least {row_bytes}: two vectors of width {width} and a bias in float32",
            action="Leave it out: the default follows the executors' memory.",
        )
    return rows // TILE * TILE or rows


ARRAYS = ("y", "theta", "bias", "available", "links")


@dataclass(frozen=True)
class Items:
    """Some rows of a batch, checked."""

    ids: pa.Array
    y: F32
    theta: F32
    bias: F32
    available: Bools
    links: I32

    def cut(self, low: int, high: int) -> Items:
        """Return rows [low, high)."""
        return Items(*(getattr(self, name)[low:high] for name in ("ids", *ARRAYS)))


class Filling:
    """A block that fills up. Its arrays have full length; the system gives them pages as they are written."""

    def __init__(self, start: int, category: str, capacity: int, width: int) -> None:
        """An empty block that begins at position ``start`` of the catalogue."""
        self.start, self.category, self.capacity, self.width = start, category, capacity, width
        self.size, self.ids = 0, list[pa.Array]()
        self.arrays: dict[str, NDArray[Any]] = {
            "y": np.empty((capacity, width), np.float32),
            "theta": np.empty((capacity, width), np.float32),
            "bias": np.empty(capacity, np.float32),
            "available": np.empty(capacity, np.bool_),
            "links": np.empty(capacity, np.int32),
        }

    def after(self, category: str) -> Filling:
        """Return an empty block for the items that follow."""
        return Filling(self.start + self.size, category, self.capacity, self.width)

    def add(self, items: Items) -> None:
        """Copy rows behind those that are there."""
        end = self.size + len(items.ids)
        for name, array in self.arrays.items():
            array[self.size : end] = getattr(items, name)
        self.ids.append(own_copy(items.ids))
        self.size = end

    def row(self) -> pa.RecordBatch:
        """Return the block as a row of ``scoring.score.ITEM_BLOCKS``, around the arrays as they are."""
        return pa.record_batch(
            {
                "start": pa.array([self.start], pa.int64()),
                "category": pa.array([self.category], pa.string()),
                "item_ids": one_list(pa.concat_arrays(self.ids)),
                **{name: _one_binary(array[: self.size]) for name, array in self.arrays.items()},
            }
        )


def pack_items(
    batches: Iterator[pa.RecordBatch], max_block_bytes: int, *, one_block: bool = False
) -> Iterator[pa.RecordBatch]:
    """Pack rows (item_id, category, y, theta, bias, available, link) into rows of ``scoring.score.ITEM_BLOCKS``.

    Rows are sorted by (category, item_id), and a block holds items of one category. Raises DataError for vectors that
    are missing, ragged or not finite and for an item_id that comes twice. With ``one_block`` it also raises DataError
    where one block cannot hold all items.
    """
    filling: Filling | None = None
    last: pa.Scalar | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        items = checked(batch, last, filling.width if filling else None)
        last, width = items.ids[-1], items.y.shape[1]
        for first, end, category in runs_of(batch["category"]):
            low = first
            while low < end:
                if filling is None:
                    filling = Filling(0, category, rows_per_block(width, max_block_bytes), width)
                if filling.category != category or filling.size == filling.capacity:
                    _check_one(filling, one_block=one_block)
                    yield filling.row()
                    filling = filling.after(category)
                high = min(end, low + filling.capacity - filling.size)
                filling.add(items.cut(low, high))
                low = high
    if filling is not None:
        yield filling.row()


def checked(batch: pa.RecordBatch, last: pa.Scalar | None, width: int | None) -> Items:
    """Return the rows of a batch, checked; ``last`` is the id before them, ``width`` the width of the vectors before.

    Raises DataError as :func:`pack_items` does.
    """
    ids = batch["item_id"]
    check_unique(ids, last, "item")
    y = vectors(batch["y"], ids, "item", width)
    theta = vectors(batch["theta"], ids, "item", y.shape[1])
    bias = batch["bias"].cast(pa.float32()).fill_null(0).to_numpy(zero_copy_only=False)
    check_finite(bias[:, None], ids, "item")
    available = batch["available"].fill_null(True).to_numpy(zero_copy_only=False)
    links = batch["link"].cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    return Items(ids, y, theta, bias, available, links)


def runs_of(category: pa.Array) -> Iterator[tuple[int, int, str]]:
    """Yield (first row, row after the last, value) of each run of equal values.

    >>> list(runs_of(pa.array(["a", "a", "b"])))
    [(0, 2, 'a'), (2, 3, 'b')]
    """
    ends = np.flatnonzero(pc.not_equal(category[1:], category[:-1]).to_numpy(zero_copy_only=False)) + 1
    low = 0
    for high in [*ends.tolist(), len(category)]:
        yield low, high, category[low].as_py()
        low = high


def _check_one(filling: Filling, *, one_block: bool) -> None:
    if one_block:
        raise DataError(
            "There are more item vectors than build_candidates was told",
            where="score",
            found=f"more than {filling.start + filling.size} item vectors",
            expected="at most the number that one item block holds",
            action="Give build_candidates the number of item vectors in `catalogue`, or leave it out.",
        )


def _one_binary(array: NDArray[Any]) -> pa.BinaryArray:
    """Return all bytes of an array as one value, without a copy."""
    offsets = pa.py_buffer(np.array([0, array.nbytes], np.int32))
    return pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(array)])
