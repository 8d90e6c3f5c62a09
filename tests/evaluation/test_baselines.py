"""The rivals: popularity by distinct users, and ALS on a world of two tastes whose right answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.contract import INTERACTIONS
from recsys_spark.evaluation.baselines.als import als_vectors
from recsys_spark.evaluation.baselines.baseline import Known
from recsys_spark.evaluation.baselines.popularity import popularity_vectors
from recsys_spark.tables import ITEM_PROFILES, ITEM_VECTORS, USER_VECTORS
from tests.builders import config, frame, interaction

Vectors = dict[str, np.ndarray]


def profiles(spark: SparkSession, *item_ids: str) -> DataFrame:
    rows = [{"item_id": i, "available": i != "gone"} for i in item_ids]
    return frame(spark, ITEM_PROFILES, rows)


def test_popularity_orders_by_distinct_users_and_untouched_items_come_last(spark: SparkSession) -> None:
    rows = [
        *(interaction(user, "liked") for user in ("u1", "u2", "u3")),
        *(interaction("bot", "clicked", days_ago=day) for day in range(1, 30)),
        interaction("u1", "gone"),
        interaction("u2", "gone"),
    ]
    users = spark.createDataFrame([("u1",), ("newcomer",)], "user_id string")
    catalogue = profiles(spark, "liked", "clicked", "gone", "untouched")
    user_vectors, item_vectors = popularity_vectors(Known(frame(spark, INTERACTIONS, rows), catalogue, users, config()))
    assert (user_vectors.schema, item_vectors.schema) == (
        USER_VECTORS.conform(user_vectors).schema,
        ITEM_VECTORS.conform(item_vectors).schema,
    )
    bias = {row.item_id: row.bias for row in item_vectors.collect()}
    assert sorted(bias, key=lambda i: -bias[i]) == ["liked", "gone", "clicked", "untouched"]
    assert bias["clicked"] == pytest.approx(np.log(2))
    assert {row.item_id for row in item_vectors.where("not available").collect()} == {"gone"}
    assert sorted(row.user_id for row in user_vectors.collect()) == ["newcomer", "u1"]
    logits = {tuple(row.theta) for row in item_vectors.collect()}
    assert logits == {(0.0,)}, "nothing but the bias may decide"


def nobody(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([], "user_id string")


def two_tastes(unit: float = 1.0) -> list[dict[str, Any]]:
    """Users and items 0 to 11, even with even and odd with odd; user n has not met item n. A ghost only glanced."""
    met = [(u, i) for u in range(12) for i in range(12) if u % 2 == i % 2 and u != i]
    rows = [interaction(f"u{u}", f"i{i}", value=(1 + u % 3) * unit) for u, i in met]
    return [*rows, interaction("ghost", "i0", "glance", value=unit)]


def fit(spark: SparkSession, rows: list[dict[str, Any]], n_partitions: int) -> tuple[Vectors, Vectors]:
    cfg = config(
        evaluate={"als_rank": 2},
        behaviours={"value_transform": "linear", "weights": {"browse": 1.0, "glance": 0.0}},
    )
    catalogue = profiles(spark, *(f"i{i}" for i in range(12)), "cold")
    users, items = als_vectors(
        Known(frame(spark, INTERACTIONS, rows).repartition(n_partitions), catalogue, nobody(spark), cfg)
    )
    user_rows, item_rows = users.collect(), items.collect()
    assert {row.source for row in user_rows} == {"history"}
    assert {(row.bias, tuple(row.y), row.available) for row in item_rows} == {(0.0, (0.0, 0.0), True)}
    return {r.user_id: np.array(r.x) for r in user_rows}, {r.item_id: np.array(r.theta) for r in item_rows}


@pytest.fixture(scope="module")
def fitted(spark: SparkSession) -> tuple[Vectors, Vectors]:
    return fit(spark, two_tastes(), n_partitions=2)


def test_als_prefers_the_item_a_user_of_that_taste_has_not_met(fitted: tuple[Vectors, Vectors]) -> None:
    users, items = fitted
    for u in range(12):
        scores = {i: float(users[f"u{u}"] @ items[f"i{i}"]) for i in range(12)}
        assert scores[u] > max(score for i, score in scores.items() if i % 2 != u % 2) + 0.5


def test_als_knows_only_users_and_items_with_weight(fitted: tuple[Vectors, Vectors]) -> None:
    users, items = fitted
    assert set(users) == {f"u{u}" for u in range(12)}, "a behaviour of weight 0 is no taste"
    assert set(items) == {f"i{i}" for i in range(12)}, "a cold item has no factor"


def test_als_does_not_depend_on_partitions_nor_on_the_unit_of_the_values(
    spark: SparkSession, fitted: tuple[Vectors, Vectors]
) -> None:
    for once, again in zip(fitted, fit(spark, two_tastes(unit=60.0), n_partitions=5), strict=True):
        assert set(once) == set(again)
        for name, vector in once.items():
            np.testing.assert_allclose(vector, again[name], atol=1e-4)
