"""What the scoring stage leaves out where it is told how much there is: shuffles, small tasks, a join with nothing."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sections import Score
from recsys_spark.scoring.score import USERS_PER_TASK, CatalogueSize, build_candidates, user_tasks
from tests.scoring.test_score import N_ITEMS, PAIRS, WIDTH, World, rows_of

ONE_BLOCK = CatalogueSize(N_ITEMS, WIDTH)


def plan_of(frame: DataFrame) -> str:
    return str(frame._jdf.queryExecution().executedPlan().toString())


def test_no_exclusions_need_no_join_and_give_the_rows_of_an_empty_table(spark: SparkSession) -> None:
    world = World(3)
    users, items = world.user_vectors(spark), world.item_vectors(spark)
    without = build_candidates(users, items, None, Score(), n=5, catalogue=ONE_BLOCK)
    empty = build_candidates(users, items, spark.createDataFrame([], PAIRS), Score(), n=5, catalogue=ONE_BLOCK)
    plan = plan_of(without)  # before it runs: adaptive execution shows the plan twice afterwards
    assert plan.count("hashpartitioning(user_id") == 1
    assert "Union" in plan_of(empty)
    assert "Union" not in plan
    assert "Window" not in plan
    assert rows_of(without) == rows_of(empty)


def test_the_number_of_tasks_does_not_change_the_rows(spark: SparkSession) -> None:
    world = World(4)
    users, items, seen = world.user_vectors(spark), world.item_vectors(spark), world.exclusions(spark)
    few = build_candidates(users, items, seen, Score(), n=5, n_tasks=2)
    assert ", 2), REPARTITION_BY_NUM" in plan_of(few)
    assert rows_of(few) == rows_of(build_candidates(users, items, seen, Score(), n=5))


def test_scores_that_log_z_rounds_to_one_go_by_id_in_both_plans(spark: SparkSession) -> None:
    """a's raw score is one bit below b's; less log Z, both round to the same number."""
    users = spark.createDataFrame([("u", [1.0, 2.0, 2.0], "history")], "user_id string, x array<float>, source string")
    rows = [("a", [1.0, 0.0, 0.0], 0.0, True), ("b", [0.0, -1.0, 0.0], 1.0, True)]
    rows += [(f"x{number:03}", [1.0, 0.0, 0.0], 0.0, False) for number in range(200)]
    zero = [0.0, 0.0, 0.0]
    items = spark.createDataFrame(
        [(item, y, zero, bias, available) for item, y, bias, available in rows],
        "item_id string, y array<float>, theta array<float>, bias float, available boolean",
    )
    final, merged = (
        rows_of(build_candidates(users, items, None, Score(), n=2, catalogue=size))
        for size in (CatalogueSize(len(rows), 3), None)
    )
    assert final == merged
    assert [(row[1], row[2]) for row in final] == [(1, "a"), (2, "b")]
    assert final[0][3] == final[1][3]


def test_users_that_come_twice_are_refused_without_exclusions_too(spark: SparkSession) -> None:
    world = World()
    users = world.user_vectors(spark)
    twice = build_candidates(users.union(users.limit(1)), world.item_vectors(spark), None, Score(), n=5)
    with pytest.raises(Exception, match="users that come twice"):
        twice.collect()


@pytest.mark.parametrize("slots", [1, 2, 48])
@pytest.mark.parametrize("n_users", [0, 1, USERS_PER_TASK, 3 * USERS_PER_TASK, 100_000, 1_000_000])
def test_tasks_are_neither_small_nor_uneven(n_users: int, slots: int) -> None:
    tasks = user_tasks(n_users, slots)
    assert tasks >= 1
    assert tasks <= slots or tasks % slots == 0
    assert n_users / tasks <= 16_384
    if tasks > 1:
        assert n_users / tasks >= USERS_PER_TASK
