"""Streams of rows to blocks: nothing lost, nothing given to the wrong user, bad vectors named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.errors import DataError
from recsys_spark.scoring.kernels.packing import pack_users, users_per_block
from recsys_spark.scoring.kernels.packing_items import pack_items
from recsys_spark.scoring.kernels.unpacking import unpack_boosts, unpack_items, unpack_users

USER_ROWS = pa.schema(
    {
        "user_id": pa.string(),
        "x": pa.list_(pa.float32()),
        "linked": pa.list_(pa.int32()),
        "boosts": pa.list_(pa.float32()),
        "source": pa.string(),
        "position": pa.int32(),
    }
)


def user_rows(
    table: dict[str, list[int]], with_vector: set[str], size: int, *, boosted: bool = True
) -> Iterator[pa.RecordBatch]:
    rows: list[tuple[Any, ...]] = []
    for number, (user, positions) in enumerate(sorted(table.items())):
        if user in with_vector:
            linked = list(range(number % 3)) if boosted and number % 4 else None
            boosts = None if linked is None else [0.5 + link for link in linked]
            rows.append((user, [float(number), 1.0], linked, boosts, "history", None))
        rows += [(user, None, None, None, None, position) for position in sorted(positions)]
    for low in range(0, len(rows), size):
        columns = list(zip(*rows[low : low + size], strict=True))
        yield pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, USER_ROWS, strict=True)], schema=USER_ROWS)


def unpacked_users(packed: Iterator[pa.RecordBatch]) -> dict[str, tuple[list[float], list[int]]]:
    found = {}
    for batch in packed:
        row = {name: batch[name][0] for name in batch.schema.names}
        block = unpack_users(row)
        for number, user in enumerate(row["user_ids"].as_py()):
            excluded = block.excluded[block.offsets[number] : block.offsets[number + 1]]
            assert user not in found
            found[user] = (block.x[number].tolist(), excluded.tolist())
    return found


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefghij"), st.lists(st.integers(0, 99), max_size=6, unique=True)),
    st.sets(st.sampled_from("abcdefghij")),
    st.integers(1, 7),
    st.sampled_from([1, 30, 60, 10_000]),
)
def test_every_user_keeps_its_vector_and_exclusions(
    table: dict[str, list[int]], with_vector: set[str], batch_rows: int, max_bytes: int
) -> None:
    with_vector &= set(table)
    found = unpacked_users(pack_users(user_rows(table, with_vector, batch_rows), max_bytes, 0))
    numbers = {user: number for number, user in enumerate(sorted(table))}
    assert found == {u: ([float(numbers[u]), 1.0], sorted(table[u])) for u in with_vector}


def test_positions_of_users_without_a_vector_do_not_pile_up() -> None:
    def stream() -> Iterator[pa.RecordBatch]:
        yield from user_rows({"a": [1, 2]}, {"a"}, 100)
        for _ in range(200):
            yield from user_rows({"b": list(range(1000))}, set(), 1000)
            most.append(pa.total_allocated_bytes())
        yield from user_rows({"c": [3]}, {"c"}, 100)

    most: list[int] = []
    found = unpacked_users(pack_users(stream(), 1000, 0))
    assert {user: positions for user, (_, positions) in found.items()} == {"a": [1, 2], "c": [3]}
    assert max(most) - min(most) < 100_000


def test_a_user_without_an_id_is_not_lost() -> None:
    rows = pa.record_batch(
        [
            pa.array([None, "a", "a"], pa.string()),
            pa.array([[0.0, 1.0], [1.0, 1.0], None], pa.list_(pa.float32())),
            pa.array([None] * 3, pa.list_(pa.int32())),
            pa.array([None] * 3, pa.list_(pa.float32())),
            pa.array(["history", "history", None]),
            pa.array([None, None, 4], pa.int32()),
        ],
        schema=USER_ROWS,
    )
    assert unpacked_users(pack_users(iter([rows]), 1000, 0)) == {None: ([0.0, 1.0], []), "a": ([1.0, 1.0], [4])}


def test_many_items_per_user_make_blocks_of_few_users() -> None:
    table: dict[str, list[int]] = {f"u{number:02}": [] for number in range(20)}
    blocks = list(pack_users(user_rows(table, set(table), 7), 10_000, 0, users_per_block(10_000, 20)))
    assert [len(block["user_ids"][0]) for block in blocks] == [7, 7, 6]


def test_user_blocks_are_numbered_and_cut_by_bytes() -> None:
    table = {user: list(range(10)) for user in "abcdef"}  # 13 values of 4 bytes each
    blocks = list(pack_users(user_rows(table, set(table), 100, boosted=False), 110, 7 << 32))
    assert [b["block"][0].as_py() - (7 << 32) for b in blocks] == [0, 1, 2, 3]
    assert [len(b["user_ids"][0]) for b in blocks] == [2, 2, 1, 1]  # the last user might have gone on


def item_rows(
    ids: list[str], y: Sequence[list[float] | None], size: int = 3, categories: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    floats = pa.list_(pa.float32())
    for low in range(0, len(ids), size):
        some = slice(low, low + size)
        n = len(ids[some])
        yield pa.record_batch(
            {
                "item_id": pa.array(ids[some]),
                "category": pa.array(categories[some] if categories else [""] * n, pa.string()),
                "y": pa.array(y[some], floats),
                "theta": pa.array([[1.0, 2.0]] * n, floats),
                "bias": pa.array([0.5] * n, pa.float32()),
                "available": pa.array(([True, False, None] * 3)[:n]),
                "link": pa.array(([None, 4] * 4)[low : low + n], pa.int32()),
            }
        )


@pytest.mark.parametrize("max_bytes", [20, 45, 10_000])
def test_items_keep_order_vectors_and_availability(max_bytes: int) -> None:
    ids = [f"i{number}" for number in range(8)]
    names: list[str] = []
    for batch in pack_items(item_rows(ids, [[float(number), 0.0] for number in range(8)]), max_bytes):
        row = {name: batch[name][0] for name in batch.schema.names}
        block = unpack_items(row)
        assert block.start == len(names)
        names += row["item_ids"].as_py()
        places = np.arange(block.start, block.start + block.size)
        assert block.y[: block.size, 0].tolist() == places.tolist()
        assert block.links.tolist() == [4 if place % 2 else -1 for place in places]
        unavailable = np.flatnonzero(~block.open) + block.start
        assert unavailable.tolist() == [p for p in places if p % 3 == 1]
    assert names == ids


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_blocks_hold_items_of_one_category(size: int) -> None:
    ids, categories = [f"i{number}" for number in range(8)], list("aabbbbcd")
    vectors: list[list[float] | None] = [[1.0, 0.0]] * 8
    blocks = [
        (batch["category"][0].as_py(), batch["item_ids"][0].as_py(), batch["start"][0].as_py())
        for batch in pack_items(item_rows(ids, vectors, size, categories), 60)
    ]
    assert blocks == [
        ("a", ["i0", "i1"], 0),
        ("b", ["i2", "i3", "i4"], 2),
        ("b", ["i5"], 5),
        ("c", ["i6"], 6),
        ("d", ["i7"], 7),
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([float("nan"), 1.0], "not finite"),
        ([float("inf"), 1.0], "not finite"),
        ([1.0], "another width"),
        (None, "another width"),
    ],
)
def test_bad_item_vectors_are_named(bad: list[float] | None, message: str) -> None:
    rows = item_rows(list("abcde"), [*[[1.0, 1.0]] * 4, bad])
    with pytest.raises(DataError, match=rf"(?s){message}.*'e'"):
        list(pack_items(rows, 10_000))


def test_at_most_five_bad_ids_are_named() -> None:
    with pytest.raises(DataError, match=r"'a', 'b', 'c', 'd', 'e', \.\.\."):
        list(pack_items(item_rows(list("abcdefg"), [[float("nan"), 1.0]] * 7, size=7), 10_000))


def test_an_item_that_comes_twice_is_named_across_batches() -> None:
    with pytest.raises(DataError, match=r"(?s)twice.*'c'"):
        list(pack_items(item_rows(["a", "b", "c", "c"], [[1.0, 1.0]] * 4), 10_000))


def test_blocks_count_the_bytes_of_boosts() -> None:
    table: dict[str, list[int]] = {user: [] for user in "abcdef"}  # 3 values each, and 0, 2, 4, 0, 0, 4 of boosts

    def sizes(*, boosted: bool) -> list[int]:
        rows = user_rows(table, set(table), 100, boosted=boosted)
        return [len(b["user_ids"][0]) for b in pack_users(rows, 4 * 9, 0)]

    assert sizes(boosted=False) != sizes(boosted=True)
    assert sum(sizes(boosted=True)) == 6


@pytest.mark.parametrize("max_bytes", [1, 60, 10_000])
def test_every_user_keeps_its_boosts(max_bytes: int) -> None:
    table: dict[str, list[int]] = {user: [7] for user in "abcdefghij"}
    found = {}
    for batch in pack_users(user_rows(table, set(table), 3), max_bytes, 0):
        row = {name: batch[name][0] for name in batch.schema.names}
        boosts = unpack_boosts(row)
        for number, user in enumerate(row["user_ids"].as_py()):
            own = slice(*boosts.offsets[number : number + 2])
            found[user] = (boosts.links[own].tolist(), boosts.values[own].tolist())
    counts = [number % 3 if number % 4 else 0 for number in range(10)]
    assert found == {user: (list(range(n)), [0.5 + k for k in range(n)]) for user, n in zip(table, counts, strict=True)}


@pytest.mark.parametrize(
    ("linked", "boosts"),
    [
        ([1], [float("nan")]),
        ([1], [-0.5]),
        ([1, 2], [1.0]),
        (None, [1.0]),
        ([-1], [1.0]),
        ([3, 3], [1.0, 1.0]),
        ([4, 3], [1.0, 1.0]),
    ],
)
def test_users_with_wrong_boosts_are_named(linked: list[int] | None, boosts: list[float]) -> None:
    rows = [("a", [0.0, 1.0], None, None, "history", None), ("b", [0.0, 1.0], linked, boosts, "history", None)]
    columns = zip(*rows, strict=True)
    batch = pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, USER_ROWS, strict=True)], schema=USER_ROWS)
    with pytest.raises(DataError, match=r"(?s)wrong boosts.*'b'"):
        list(pack_users(iter([batch]), 10_000, 0))


def test_no_rows_give_no_blocks() -> None:
    assert list(pack_items(iter([]), 100)) == []
    assert list(pack_users(iter([]), 100, 0)) == []
