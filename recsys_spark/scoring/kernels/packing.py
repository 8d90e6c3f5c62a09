"""Packs sorted Arrow rows of users into a few rows that each hold one block of arrays.

A packer needs memory for one block and one batch, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_spark.errors import DataError
from recsys_spark.numerics.arrays import F32, I32, I64, Bools

USERS_PER_BLOCK = 16_384
"""Enough that moving an item block costs little compared with the product with it."""


def users_per_block(max_block_bytes: int, n: int) -> int:
    """Return how many users fit into a block's bytes; their state is twice 32 bytes for each of ``n`` items.

    >>> users_per_block(64 * 2**20, 10), users_per_block(64 * 2**20, 1000)
    (16384, 1048)
    """
    return max(1, min(USERS_PER_BLOCK, max_block_bytes // (64 * n)))


def pack_users(
    batches: Iterator[pa.RecordBatch], max_block_bytes: int, first: int, most_users: int = USERS_PER_BLOCK
) -> Iterator[pa.RecordBatch]:
    """Pack rows (user_id, x, linked, boosts, source, position) into USER_BLOCKS of at most ``most_users`` users.

    Blocks are numbered from ``first``. Rows are sorted by (user_id, position, nulls first). A row whose position is
    null is the user and has x; the rows after it are the user's excluded positions. Positions of users without such a
    row are dropped. Raises DataError for vectors that are missing, ragged or not finite, and for a user_id that comes
    twice.
    """
    width, last = None, None
    for rows in _whole_users(_of_users(batches), max_block_bytes):
        starts = np.flatnonzero(rows["position"].is_null().to_numpy())
        users = rows.take(starts)
        ids = users["user_id"].combine_chunks()
        check_unique(ids, last, "user")
        x = vectors(users["x"].combine_chunks(), ids, "user", width)
        width, last = x.shape[1], ids[-1]
        edges = np.append(starts, rows.num_rows)
        boosted = pc.list_value_length(users["boosts"].combine_chunks()).fill_null(0).to_numpy(zero_copy_only=False)
        cells = edges + np.arange(len(edges)) * width + np.concatenate([[0], np.cumsum(2 * boosted)])
        low = 0
        while low < len(ids):
            fits = int(np.searchsorted(cells, cells[low] + max_block_bytes // 4, "right")) - 1
            high = min(max(fits, low + 1), low + most_users, len(ids))
            block = rows.slice(edges[low], edges[high] - edges[low])
            yield _user_row(first, users.slice(low, high - low), x[low:high], block)
            first, low = first + 1, high


def _of_users(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows without the positions of users who have no vector.

    Any number of such users may stand between two users with a vector.
    """
    current = pa.scalar(None, pa.string())
    for batch in batches:
        ids, is_user = batch["user_id"], batch["position"].is_null().to_numpy(zero_copy_only=False)
        owners = pa.concat_arrays([pa.array([current.as_py()], pa.string()), ids.filter(pa.array(is_user))])
        owner = owners.take(pa.array(np.cumsum(is_user)))
        # A user's own row stays whatever its id: null equals nothing.
        own = pc.or_(pc.equal(ids, owner).fill_null(False), pa.array(is_user))
        current = owners[-1]
        yield batch if pc.all(own).as_py() else batch.filter(own)


def _whole_users(batches: Iterator[pa.RecordBatch], max_block_bytes: int) -> Iterator[pa.Table]:
    """Cut a stream of user rows into tables of about one block; a user's rows are in one table."""
    pending: list[pa.Table] = []
    n_users, n_cells = 0, 0
    for batch in batches:
        pending.append(pa.table(batch))
        n_users += batch["position"].null_count
        n_cells += batch.num_rows + len(batch["x"].flatten()) + 2 * len(batch["boosts"].flatten())
        if n_users > 1 and (n_users > USERS_PER_BLOCK or n_cells * 4 > max_block_bytes):
            rows = pa.concat_tables(pending)
            starts = np.flatnonzero(rows["position"].is_null().to_numpy())
            # The last user may go on in the next batch.
            yield rows.slice(0, starts[-1])
            pending, n_users, n_cells = [rows.slice(starts[-1])], 1, 0
    if n_users:
        yield pa.concat_tables(pending)


def vectors(column: pa.Array, ids: pa.Array, kind: str, width: int | None) -> F32:
    """Return a list column as float32 [n, d].

    Raises DataError naming the ids whose vector is null, of another width or not finite.
    """
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
    """Raise DataError where a sorted stream of ids holds an id twice; ``last`` is the id before these."""
    if not len(ids):
        return
    before = pa.concat_arrays([pa.array([None if last is None else last.as_py()], pa.string()), ids[:-1]])
    same = pc.equal(ids, before).fill_null(False).to_numpy(zero_copy_only=False)
    _refuse(same, ids, f"{kind}s that come twice", f"one vector per {kind}")


def _refuse(bad: Bools, ids: pa.Array, what: str, expected: str) -> None:
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


def _user_row(block: int, users: pa.Table, x: F32, rows: pa.Table) -> pa.RecordBatch:
    """``users`` are the user rows among ``rows``, which begin with the first of them."""
    ids = users["user_id"].combine_chunks()
    is_user = rows["position"].is_null().to_numpy()
    owner = np.cumsum(is_user) - 1
    offsets = np.searchsorted(owner[~is_user], np.arange(len(ids) + 1))
    excluded = rows["position"].drop_null().to_numpy().astype(np.int32)
    link_offsets, linked, boosts = _boosts(users, ids)
    arrays = {
        "x": x,
        "offsets": offsets.astype(np.int64),
        "excluded": excluded,
        "link_offsets": link_offsets,
        "linked": linked,
        "boosts": boosts,
    }
    return pa.record_batch(
        {
            "block": pa.array([block], pa.int64()),
            "user_ids": one_list(ids),
            "sources": one_list(users["source"].combine_chunks()),
            **{name: pa.array([value.tobytes()]) for name, value in arrays.items()},
        }
    )


def _boosts(users: pa.Table, ids: pa.Array) -> tuple[I64, I32, F32]:
    """Return offsets [m + 1], link numbers and values of boosts; a null column has none.

    Raises DataError naming the users whose boosts break the rules below.
    """
    linked, boosts = users["linked"].combine_chunks(), users["boosts"].combine_chunks()
    lengths, others = (
        pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False) for column in (linked, boosts)
    )
    values = boosts.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    numbers = linked.flatten().to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    wrong = np.not_equal(lengths, others)
    if not wrong.any():
        owner = np.repeat(np.arange(len(ids)), lengths)
        falls = np.append(False, (owner[1:] == owner[:-1]) & (numbers[1:] <= numbers[:-1]))[: len(owner)]
        wrong[owner[~((values >= 0) & (values < np.inf)) | (numbers < 0) | falls]] = True
    _refuse(
        wrong, ids, "users with wrong boosts", "linked items in ascending order, each with a finite boost of at least 0"
    )
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), numbers, values


def one_list(values: pa.Array) -> pa.ListArray:
    """Return all values as one list."""
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
