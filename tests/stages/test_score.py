"""The scoring stage: the right lists whatever the blocks and partitions, with the plan that makes it fast."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config import Score
from recsys_spark.stages.score import build_candidates, build_exclusions
from recsys_spark.tables import CANDIDATES, INTERACTIONS, ITEM_PROFILES, ITEM_VECTORS, USER_VECTORS
from tests.builders import config, frame, interaction

N_USERS, N_ITEMS, WIDTH = 30, 70, 8
PAIRS = "user_id string, item_id string"


class World:
    """Vectors of users u00.. and items i000.., some unavailable, each user with some seen items."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(N_USERS, WIDTH)).astype(np.float32)
        self.y = rng.normal(size=(N_ITEMS, WIDTH)).astype(np.float32)
        self.theta = rng.normal(size=(N_ITEMS, WIDTH)).astype(np.float32)
        self.bias = rng.normal(size=N_ITEMS).astype(np.float32)
        self.available = rng.random(N_ITEMS) > 0.1
        self.seen = rng.random((N_USERS, N_ITEMS)) < np.linspace(0, 0.9, N_USERS)[:, None]
        self.users = [f"u{i:02}" for i in range(N_USERS)]
        self.items = [f"i{j:03}" for j in range(N_ITEMS)]

    def user_vectors(self, spark: SparkSession) -> DataFrame:
        rows = [
            {"user_id": user, "x": x.tolist(), "source": "history"} for user, x in zip(self.users, self.x, strict=True)
        ]
        return frame(spark, USER_VECTORS, rows)

    def item_vectors(self, spark: SparkSession) -> DataFrame:
        names = ("item_id", "y", "theta", "bias", "available")
        columns = (self.items, self.y.tolist(), self.theta.tolist(), self.bias.tolist(), self.available.tolist())
        return frame(spark, ITEM_VECTORS, [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])

    def exclusions(self, spark: SparkSession) -> DataFrame:
        pairs = [(self.users[i], self.items[j]) for i, j in np.argwhere(self.seen)]
        return spark.createDataFrame([*pairs, ("nobody", "i001"), ("u01", "no such item")], PAIRS)

    def brute_force(self, n: int, score: Score) -> list[tuple[Any, ...]]:
        x, y, theta = (v.astype(np.float64) for v in (self.x, self.y, self.theta))
        cosine = (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T
        logit = x @ theta.T + self.bias
        log_prob = logit - np.log(np.exp(logit).sum(1))[:, None]
        total = score.w_cos * cosine + score.w_ce * log_prob
        rows = []
        for i, user in enumerate(self.users):
            allowed = [j for j in np.argsort(-total[i]) if self.available[j] and not self.seen[i, j]]
            rows += [
                (user, rank, self.items[j], total[i, j], cosine[i, j], log_prob[i, j], "history")
                for rank, j in enumerate(allowed[:n], start=1)
            ]
        return rows


def rows_of(candidates: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in candidates.collect())


def candidates_of(world: World, spark: SparkSession, score: Score | None = None, n: int = 5) -> DataFrame:
    return build_candidates(
        world.user_vectors(spark), world.item_vectors(spark), world.exclusions(spark), score or Score(), n=n
    )


@pytest.mark.parametrize(
    "score", [Score(), Score(w_cos=0.5, w_ce=2, max_block_bytes=4096), Score(w_cos=0), Score(w_ce=0)]
)
def test_candidates_are_the_brute_force_lists(spark: SparkSession, score: Score) -> None:
    world = World()
    got, want = rows_of(candidates_of(world, spark, score)), world.brute_force(5, score)
    assert [(r[0], r[1], r[2], r[6]) for r in got] == [(r[0], r[1], r[2], r[6]) for r in want]
    np.testing.assert_allclose([r[3:6] for r in got], [r[3:6] for r in want], rtol=1e-5, atol=1e-5)


def test_rows_do_not_depend_on_partitions_blocks_or_order(spark: SparkSession) -> None:
    world = World(1)
    plain = rows_of(candidates_of(world, spark))
    users, items = world.user_vectors(spark), world.item_vectors(spark)
    shuffled = build_candidates(
        users.orderBy(F.desc("user_id")).repartition(5),
        items.orderBy(F.rand(3)).repartition(4),
        world.exclusions(spark).repartition(3),
        Score(),
        n=5,
    )
    assert rows_of(shuffled) == plain
    small = rows_of(candidates_of(world, spark, Score(max_block_bytes=4096)))
    assert [r[:3] for r in small] == [r[:3] for r in plain]
    np.testing.assert_allclose([r[3:6] for r in small], [r[3:6] for r in plain], rtol=1e-6, atol=1e-6)


def test_probabilities_of_the_whole_catalogue_sum_to_one(spark: SparkSession) -> None:
    world = World(2)
    world.seen[:], world.available[:] = False, True
    everything = candidates_of(world, spark, Score(max_block_bytes=4096), n=N_ITEMS + 10)
    sums = everything.groupBy("user_id").agg(F.sum(F.exp("log_prob")).alias("p"), F.count("*").alias("n")).collect()
    assert len(sums) == N_USERS
    assert all(row.n == N_ITEMS and math.isclose(row.p, 1, rel_tol=1e-5) for row in sums)


def test_user_who_has_seen_everything_gets_no_rows(spark: SparkSession) -> None:
    world = World(3)
    world.seen[4] = True
    got = {row[0] for row in rows_of(candidates_of(world, spark, Score(max_block_bytes=4096)))}
    assert got == set(world.users) - {"u04"}


def test_equal_scores_are_ordered_by_item_id(spark: SparkSession) -> None:
    world = World(4)
    world.seen[:], world.available[:] = False, True
    world.y[:], world.theta[:], world.bias[:] = world.y[0], world.theta[0], world.bias[0]
    for row in rows_of(candidates_of(world, spark, Score(max_block_bytes=4096))):
        assert row[2] == f"i{row[1] - 1:03}"


def test_candidates_fit_the_table(spark: SparkSession) -> None:
    assert candidates_of(World(), spark).dtypes == frame(spark, CANDIDATES, []).dtypes


def test_plan_joins_by_broadcast_and_cuts_groups_early(spark: SparkSession) -> None:
    plan = candidates_of(World(), spark)._jdf.queryExecution().executedPlan().toString()
    assert "BroadcastNestedLoopJoin BuildRight, Cross" in plan
    assert "WindowGroupLimit [user_id" in plan
    assert plan.index("Window [row_number()") < plan.index("WindowGroupLimit") < plan.index("BroadcastNestedLoopJoin")
    assert plan.count("MapInArrow") == 3
    assert "CartesianProduct" not in plan


@pytest.mark.parametrize(("side", "named"), [("x", "u03"), ("theta", "i003")])
def test_vectors_that_are_not_finite_are_named(spark: SparkSession, side: str, named: str) -> None:
    world = World()
    getattr(world, side)[3, 2] = np.nan
    with pytest.raises(Exception, match=rf"(?s)not finite.*'{named}'"):
        candidates_of(world, spark).collect()


def test_widths_that_differ_are_named(spark: SparkSession) -> None:
    world = World()
    world.x = world.x[:, :5]
    with pytest.raises(Exception, match="users 5, items 8"):
        candidates_of(world, spark).collect()


@pytest.mark.parametrize(
    ("exclude_seen", "pairs"),
    [
        (True, {("u1", "a"), ("u1", "b"), ("u2", "a")}),
        (False, set()),
        (["purchase"], {("u1", "b")}),
    ],
)
def test_exclusions_follow_the_configured_behaviours(
    spark: SparkSession, exclude_seen: Any, pairs: set[tuple[str, str]]
) -> None:
    rows = [
        interaction("u1", "a"), interaction("u1", "a", days_ago=2), interaction("u1", "b", "purchase"),
        interaction("u2", "a"),
    ]  # fmt: skip
    excluded = build_exclusions(frame(spark, INTERACTIONS, rows), config(score={"exclude_seen": exclude_seen}))
    found = [tuple(row) for row in excluded.collect()]
    assert set(found) == pairs
    assert len(found) == len(pairs)


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
