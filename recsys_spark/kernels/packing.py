"""Arrow rows to blocks: streams of sorted rows become a few rows that each hold one block of arrays.

Memory of a packer: one block and one batch, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys_spark.errors import ConfigError, DataError
from recsys_spark.kernels.layout import F32, TILE

USERS_PER_BLOCK = 16_384
"""Enough to make the transfer of an item block small beside the product with it."""


def pack_items(
    batches: Iterator[pa.RecordBatch], max_block_bytes: int, *, one_block: bool = False
) -> Iterator[pa.RecordBatch]:
    """Rows (item_id, segment, y, theta, bias, available), sorted by (segment, item_id) -> rows of stages.score.ITEM_BLOCKS.

    A block holds items of one segment. Raises DataError for vectors that are missing, ragged or not finite, for an
    item_id that comes twice, and where ``one_block`` was planned for and does not hold all items.
    """
    start, width, last, pending = 0, None, None, None
    for batch in batches:
        if not batch.num_rows:
            continue
        ids = batch["item_id"]
        check_unique(ids, last, "item")
        last = ids[-1]
        y = vectors(batch["y"], ids, "item", width)
        width = y.shape[1]
        theta = vectors(batch["theta"], ids, "item", width)
        bias = batch["bias"].cast(pa.float32()).fill_null(0).to_numpy(zero_copy_only=False)
        check_finite(bias[:, None], ids, "item")
        columns = {
            "item_ids": ids,
            "segment": batch["segment"],
            "y": _rows_as_binary(y),
            "theta": _rows_as_binary(theta),
            "bias": pa.array(bias),
            "available": batch["available"].fill_null(True),
        }
        rows = pa.table(columns)
        full, pending = _cut(rows if pending is None else pa.concat_tables([pending, rows]), width, max_block_bytes)
        for block in full:
            _check_one(start, one_block=one_block)
            yield _item_row(start, block, width)
            start += block.num_rows
    if pending is not None and pending.num_rows and width is not None:
        _check_one(start, one_block=one_block)
        yield _item_row(start, pending, width)


def _cut(rows: pa.Table, width: int, max_block_bytes: int) -> tuple[list[pa.Table], pa.Table]:
    """Blocks that are full or whose segment is over, and the rows left. A full block goes once it is known that rows follow."""
    size = rows_per_block(width, max_block_bytes)
    segment = rows["segment"].combine_chunks()
    ends = np.flatnonzero(pc.not_equal(segment[1:], segment[:-1]).to_numpy(zero_copy_only=False)) + 1
    blocks, low = [], 0
    for end in [*ends.tolist(), rows.num_rows]:
        while low + size < end or (low < end < rows.num_rows):
            high = min(low + size, end)
            blocks.append(rows.slice(low, high - low))
            low = high
    return blocks, rows.slice(low)


def _check_one(start: int, *, one_block: bool) -> None:
    if one_block and start:
        raise DataError(
            "There are more items than were said to be",
            where="score",
            found=f"more than {start} item vectors",
            expected="at most as many as one item block holds",
            action="Give build_candidates the number of item vectors in `catalogue`, or leave it out.",
        )


def rows_per_block(width: int, max_block_bytes: int) -> int:
    """Items in a block of at most so many bytes: whole tiles, unless not even one fits.

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


def pack_users(batches: Iterator[pa.RecordBatch], max_block_bytes: int, first: int) -> Iterator[pa.RecordBatch]:
    """Rows (user_id, x, source, position) -> rows of USER_BLOCKS, numbered from ``first``.

    Sorted by (user_id, position, nulls first): a row with position null is the user and has x; the rows after it are
    the user's excluded positions. Positions of users without such a row are dropped.
    Raises DataError for vectors that are missing, ragged or not finite, and for a user_id that comes twice.
    """
    width, last = None, None
    for rows in _whole_users(batches, max_block_bytes):
        starts = np.flatnonzero(rows["position"].is_null().to_numpy())
        users = rows.take(starts)
        ids = users["user_id"].combine_chunks()
        check_unique(ids, last, "user")
        x = vectors(users["x"].combine_chunks(), ids, "user", width)
        width, last = x.shape[1], ids[-1]
        edges = np.append(starts, rows.num_rows)
        cells = edges + np.arange(len(edges)) * width
        low = 0
        while low < len(ids):
            fits = int(np.searchsorted(cells, cells[low] + max_block_bytes // 4, "right")) - 1
            high = min(max(fits, low + 1), low + USERS_PER_BLOCK, len(ids))
            block = rows.slice(edges[low], edges[high] - edges[low])
            yield _user_row(first, users.slice(low, high - low), x[low:high], block)
            first, low = first + 1, high


def _whole_users(batches: Iterator[pa.RecordBatch], max_block_bytes: int) -> Iterator[pa.Table]:
    """Cut a stream of user rows into tables of about one block; a user's rows are in one table."""
    pending: list[pa.Table] = []
    n_users, n_cells = 0, 0
    for batch in batches:
        pending.append(pa.table(batch))
        n_users += batch["position"].null_count
        n_cells += batch.num_rows + len(batch["x"].flatten())
        if n_users > 1 and (n_users > USERS_PER_BLOCK or n_cells * 4 > max_block_bytes):
            rows = pa.concat_tables(pending)
            starts = np.flatnonzero(rows["position"].is_null().to_numpy())
            # The last user may go on in the next batch.
            yield rows.slice(0, starts[-1])
            pending, n_users, n_cells = [rows.slice(starts[-1])], 1, 0
    if n_users:
        yield pa.concat_tables(pending)


def vectors(column: pa.Array, ids: pa.Array, kind: str, width: int | None) -> F32:
    """List column -> float32 [n, d]. Raises DataError naming the ids whose vector is null, of another width or not finite."""
    lengths = pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
    width = int(lengths[0]) if width is None else width
    _refuse(
        np.not_equal(lengths, max(width, 1)),
        ids,
        f"{kind} vectors of another width",
        f"{kind} vectors of width {width}",
    )
    array: F32 = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False).reshape(len(ids), width)
    check_finite(array, ids, kind)
    return array


def check_finite(array: F32, ids: pa.Array, kind: str) -> None:
    """Raise DataError naming the ids with a NaN or an infinity in their row."""
    _refuse(
        np.logical_not(np.isfinite(array).all(axis=1)), ids, f"{kind} vectors that are not finite", "finite numbers"
    )


def check_unique(ids: pa.Array, last: pa.Scalar | None, kind: str) -> None:
    """Raise DataError where a sorted stream of ids holds one twice; ``last`` is the id before these."""
    if not len(ids):
        return
    before = pa.concat_arrays([pa.array([None if last is None else last.as_py()], pa.string()), ids[:-1]])
    same = pc.equal(ids, before).fill_null(False).to_numpy(zero_copy_only=False)
    _refuse(same, ids, f"{kind}s that come twice", f"one vector per {kind}")


def _refuse(bad: NDArray[np.bool_], ids: pa.Array, what: str, expected: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        named = ", ".join(repr(ids[int(row)].as_py()) for row in rows[:5])
        raise DataError(
            f"There are {what}",
            where="score",
            found=f"{named}{', ...' if len(rows) > 5 else ''}",
            expected=expected,
            action="Run the train stage again; if it persists, look at the inputs of these ids.",
        )


def _rows_as_binary(array: F32) -> pa.Array:
    """[n, d] -> n fixed-size binary values of one row each, without a copy."""
    array = np.ascontiguousarray(array)
    return pa.Array.from_buffers(pa.binary(array.shape[1] * 4), len(array), [None, pa.py_buffer(array)])


def _item_row(start: int, rows: pa.Table, width: int) -> pa.RecordBatch:
    def matrix(name: str) -> F32:
        joined = b"".join(chunk.buffers()[1].slice(chunk.offset * width * 4, len(chunk) * width * 4) for chunk in rows[name].chunks)  # fmt: skip
        return np.frombuffer(joined, np.float32).reshape(-1, width)

    arrays = (
        ("y", matrix("y")),
        ("theta", matrix("theta")),
        ("bias", rows["bias"].to_numpy()),
        ("available", rows["available"].to_numpy()),
    )
    return pa.record_batch(
        {
            "start": pa.array([start], pa.int64()),
            "segment": rows["segment"].slice(0, 1).combine_chunks(),
            "item_ids": _one_list(rows["item_ids"].combine_chunks()),
            **{name: pa.array([value.tobytes()]) for name, value in arrays},
        }
    )


def _user_row(block: int, users: pa.Table, x: F32, rows: pa.Table) -> pa.RecordBatch:
    """``users`` are the user rows among ``rows``, which begin with the first of them."""
    ids = users["user_id"].combine_chunks()
    owner = np.cumsum(rows["position"].is_null().to_numpy()) - 1
    own = pc.equal(rows["user_id"], ids.take(pa.array(owner))).to_numpy() & rows["position"].is_valid().to_numpy()
    offsets = np.searchsorted(owner[own], np.arange(len(ids) + 1))
    excluded = rows["position"].filter(pa.array(own)).to_numpy().astype(np.int32)
    arrays = (("x", x), ("offsets", offsets.astype(np.int64)), ("excluded", excluded))
    return pa.record_batch(
        {
            "block": pa.array([block], pa.int64()),
            "user_ids": _one_list(ids),
            "sources": _one_list(users["source"].combine_chunks()),
            **{name: pa.array([value.tobytes()]) for name, value in arrays},
        }
    )


def _one_list(values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
