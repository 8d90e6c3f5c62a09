"""Lists for users known by nothing: the most popular items they may get, always full."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from recsys_spark.config.sections import Score
from recsys_spark.scoring.popular import build_popular_candidates
from recsys_spark.tables import CANDIDATES, ITEM_PROFILES
from tests.builders import frame

PAIRS = "user_id string, item_id string"


def popular(
    spark: SparkSession, items: Iterable[tuple[str, float | None, bool]], excluded: list[tuple[str, str]], n: int
) -> dict[str, list[tuple[Any, ...]]]:
    profiles = frame(spark, ITEM_PROFILES, [{"item_id": i, "popularity": p, "available": a} for i, p, a in items])
    users = spark.createDataFrame([("u1",), ("u2",)], "user_id string")
    found = build_popular_candidates(users, profiles, spark.createDataFrame(excluded, PAIRS), Score(w_ce=2), n=n)
    assert found.dtypes == frame(spark, CANDIDATES, []).dtypes
    lists: dict[str, list[tuple[Any, ...]]] = {}
    for row in sorted(tuple(row) for row in found.collect()):
        lists.setdefault(row[0], []).append(row[1:])
    return lists


SHOP = [("a", 1.0, True), ("b", 6.0, True), ("c", 9.0, False), ("d", 0.0, True), ("e", None, True), ("f", 4.0, True)]


def test_unknown_user_gets_the_most_popular_then_the_rest_by_id(spark: SparkSession) -> None:
    lists = popular(spark, SHOP, [("u2", "b"), ("u2", "d"), ("u3", "a"), ("u2", "gone")], n=4)
    assert [(row[0], row[1]) for row in lists["u1"]] == [(1, "b"), (2, "f"), (3, "a"), (4, "d")]
    assert [(row[0], row[1]) for row in lists["u2"]] == [(1, "f"), (2, "a"), (3, "e")]
    assert set(lists) == {"u1", "u2"}


def test_popular_log_prob_is_the_share_of_the_whole_catalogue(spark: SparkSession) -> None:
    for rank, item, score, cosine, log_prob, source in popular(spark, SHOP, [], n=10)["u1"]:
        share = {"b": 6 / 20, "f": 4 / 20, "a": 1 / 20, "d": 5e-8, "e": 5e-8}[item]
        assert math.isclose(log_prob, math.log(share), rel_tol=1e-5), rank
        assert (score, cosine, source) == (2 * log_prob, 0.0, "popular")


def test_popular_lists_stay_full_whatever_is_excluded(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    items = [(f"i{j:02}", float(60 - j), True) for j in range(60)]
    for share in (0.1, 0.5, 0.9):
        gone = {f"i{j:02}" for j in np.flatnonzero(rng.random(60) < share)}
        lists = popular(spark, items, [("u1", item) for item in gone], n=7)
        assert [row[1] for row in lists["u1"]] == [i for i, _, _ in items if i not in gone][:7]
        assert [row[0] for row in lists["u1"]] == list(range(1, len(lists["u1"]) + 1))
        assert [row[1] for row in lists["u2"]] == [i for i, _, _ in items][:7]


def test_popular_lists_hold_the_best_of_each_category(spark: SparkSession) -> None:
    profiles = frame(spark, ITEM_PROFILES, [{"item_id": i, "popularity": p, "available": a} for i, p, a in SHOP])
    categories = spark.createDataFrame(
        [("a", "x"), ("b", "x"), ("f", "x"), ("d", "y"), ("e", None)], "item_id string, list_category string"
    )
    users = spark.createDataFrame([("u1",), ("u2",)], "user_id string")
    found = build_popular_candidates(
        users,
        profiles.join(categories, "item_id"),
        spark.createDataFrame([("u2", "b")], PAIRS),
        Score(top_n_per="category"),
        n=2,
    )
    lists: dict[str, list[str]] = {}
    for row in found.orderBy("user_id", "rank").collect():
        lists.setdefault(row.user_id, []).append(row.item_id)
    assert lists == {"u1": ["b", "f", "d", "e"], "u2": ["f", "a", "d", "e"]}
