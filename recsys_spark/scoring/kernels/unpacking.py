"""Unpacks rows of Arrow scalars, made by ``packing``, into blocks; vectors of items are read where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from recsys_spark.numerics.arrays import F32
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock, item_block, user_block
from recsys_spark.scoring.kernels.boosted import UserBoosts

Row = dict[str, Any]
"""A row whose values are Arrow scalars."""


def unpack_items(row: Row) -> ItemBlock:
    """Return the block of a row of ITEM_BLOCKS; its vectors are read where they lie."""
    bias = floats(row["bias"])
    shape = (len(bias), -1)
    available = np.frombuffer(row["available"].as_buffer(), np.bool_)
    return item_block(
        row["start"].as_py(),
        floats(row["y"]).reshape(shape),
        floats(row["theta"]).reshape(shape),
        bias,
        available,
        np.frombuffer(row["links"].as_buffer(), np.int32),
    )


def unpack_users(row: Row) -> UserBlock:
    """Return the block of a row of USER_BLOCKS, copied, because users stay while item blocks come and go."""
    offsets = np.frombuffer(row["offsets"].as_buffer(), np.int64).copy()
    x = floats(row["x"]).reshape(len(offsets) - 1, -1).copy()
    return user_block(x, offsets, np.frombuffer(row["excluded"].as_buffer(), np.int32).copy())


def unpack_boosts(row: Row) -> UserBoosts:
    """Return the boosts in a row of USER_BLOCKS, copied."""
    offsets = np.frombuffer(row["link_offsets"].as_buffer(), np.int64).copy()
    return UserBoosts(offsets, np.frombuffer(row["linked"].as_buffer(), np.int32).copy(), floats(row["boosts"]).copy())


def own_copy(values: pa.Array) -> pa.Array:
    """Return a copy of the values: a view of a few would keep their whole batch alive, with its item block."""
    return pa.concat_arrays([values, values[:0]])


def floats(value: pa.BinaryScalar) -> F32:
    """Return the float32 array in a binary value, without a copy."""
    return np.frombuffer(value.as_buffer(), np.float32)
