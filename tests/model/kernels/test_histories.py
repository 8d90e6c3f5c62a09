"""Users in flat arrays: order, unknown items, taking rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recsys_spark.model.kernels.histories import Positions, from_arrow, shuffled_ties
from tests.model.worlds import histories

ITEMS = Positions(["a", "b", "c"])


def table(**changed: object) -> pa.Table:
    columns: dict[str, object] = {
        "user_id": ["u1", "u2"],
        "items": [["b", "a"], None],
        "behaviours": [["buy", "odd"], None],
        "times": [[20.0, 10.0], None],
        "weights": [[2.0, 1.0], None],
        "social_items": [None, ["c"]],
        "social_weights": [None, [0.5]],
        "vector": [None, [1.0, 2.0]],
    }
    return pa.table({**columns, **changed})


def test_a_history_is_reversed_to_oldest_first() -> None:
    users = from_arrow(table(), ITEMS, {"buy": 0}, 2)
    assert users.items.tolist() == [0, 1]
    assert users.times.tolist() == [10.0, 20.0]
    assert users.behaviours.tolist() == [1, 0]
    assert users.lengths.tolist() == [2, 0]


def test_behaviours_on_items_outside_the_catalogue_are_dropped() -> None:
    users = from_arrow(table(items=[["b", "zzz"], None]), ITEMS, {"buy": 0}, 2)
    assert users.items.tolist() == [1]
    assert users.weights.tolist() == [2.0]
    assert users.lengths.tolist() == [1, 0]


def test_a_missing_text_vector_is_zero_and_marked_as_missing() -> None:
    users = from_arrow(table(), ITEMS, {"buy": 0}, 2)
    assert users.has_text.tolist() == [False, True]
    np.testing.assert_array_equal(users.texts, [[0, 0], [1, 2]])


def test_taking_rows_keeps_each_user_whole() -> None:
    users = from_arrow(table(), ITEMS, {"buy": 0}, 2).take(np.array([1, 0]))
    assert users.user_ids.tolist() == ["u2", "u1"]
    assert users.lengths.tolist() == [0, 2]
    assert users.social_items.tolist() == [2]
    assert users.has_social.tolist() == [True, False]


def test_shuffling_changes_only_the_order_within_one_instant() -> None:
    users = histories([[1, 2, 3, 4], [5, 6]])
    users.times[:] = [0, 7, 7, 7, 1, 2]
    rng = np.random.default_rng(0)
    seen = {tuple(shuffled_ties(users, rng).items.tolist()) for _ in range(50)}
    assert {order[0] for order in seen} == {1}
    assert {order[4:] for order in seen} == {(5, 6)}
    assert len(seen) == 6


def test_no_users_make_an_empty_batch() -> None:
    empty = (
        table()
        .slice(0, 0)
        .cast(
            pa.schema(
                [
                    ("user_id", pa.string()),
                    *[(n, pa.list_(pa.string())) for n in ("items", "behaviours")],
                    *[(n, pa.list_(pa.float64())) for n in ("times", "weights")],
                    ("social_items", pa.list_(pa.string())),
                    ("social_weights", pa.list_(pa.float64())),
                    ("vector", pa.list_(pa.float32())),
                ]
            )
        )
    )
    assert from_arrow(empty, ITEMS, {}, 2).n_users == 0
