"""Several configurations in one Spark job: each in its own task, and a failed one is a row among the others."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.model import Model
from recsys_spark.errors import DataError, TrainingError
from recsys_spark.training.rows import ITEM, slots_of, training_rows
from recsys_spark.tuning.tasks import Result, build_tried_rows, results_of
from tests.builders import config

N_ITEMS, N_USERS, WIDTH = 20, 60, 6
CFG = config(model={"width": 16, "n_layers": 1, "epochs": 1, "device": "cpu"})
ITEMS = "item_id string, vector array<float>, popularity double, n_behaviours bigint, available boolean"
USERS = """user_id string, items array<string>, behaviours array<string>, times array<double>, weights array<float>,
    social_items array<string>, social_weights array<float>, vector array<float>"""

Inputs = tuple[DataFrame, DataFrame]


@pytest.fixture(scope="module")
def inputs(spark: SparkSession) -> Inputs:
    """Items of two tastes, users of one taste each, and one user who is known only by a text."""
    rng = np.random.default_rng(0)
    items = [
        (f"i{k:02}", [float(x) for x in rng.normal(size=WIDTH) + 3 * (k % 2)], 1.0, 3, True) for k in range(N_ITEMS)
    ]
    users: list[tuple[object, ...]] = [("by-text", [], [], [], [], [], [], [1.0] * WIDTH)]
    for u in range(N_USERS):
        liked = [f"i{k:02}" for k in rng.permutation(np.arange(u % 2, N_ITEMS, 2))[:8]]
        times = [float(t) for t in np.sort(rng.uniform(0, 60 * 86_400, 8))[::-1]]
        users.append((f"u{u:02}", liked, ["browse"] * 8, times, [1.0] * 8, [], [], None))
    return spark.createDataFrame(items, ITEMS), spark.createDataFrame(users, USERS)


def tried(inputs: Inputs, models: Sequence[Model]) -> list[Result]:
    items, users = inputs
    rows = build_tried_rows(items, users, CFG, models, n_users=N_USERS, text_width=WIDTH, n_threads=1)
    return results_of(rows.collect(), len(models))


def rows_of(inputs: Inputs) -> DataFrame:
    return training_rows(*inputs, CFG, n_users=N_USERS)


def test_configurations_tried_together_have_the_results_of_single_tries(inputs: Inputs) -> None:
    models = [CFG.model, CFG.model.model_copy(update={"width": 8, "learning_rate": 0.02, "epochs": 2})]
    together = tried(inputs, models)
    for model, result in zip(models, together, strict=True):
        alone = tried(inputs, [model])[0]
        np.testing.assert_array_equal(result.per_user, alone.per_user)
        assert list(result.losses) == list(alone.losses)
        assert len(result.losses) == model.epochs
        assert result.ndcg == pytest.approx(result.per_user.mean())
        assert result.seconds > 0
    assert together[0].losses != together[1].losses
    assert len(together[0].per_user) == len(together[1].per_user) >= 20


def test_results_do_not_depend_on_the_partitions_of_the_input(inputs: Inputs) -> None:
    items, users = inputs
    models = [CFG.model, CFG.model.model_copy(update={"width": 8})]
    dealt = items.repartition(5, "popularity", "item_id"), users.repartition(7, "user_id")
    for one, other in zip(tried(inputs, models), tried(dealt, models), strict=True):
        np.testing.assert_array_equal(one.per_user, other.per_user)


def test_a_failed_configuration_has_a_reason_and_leaves_the_others_intact(inputs: Inputs) -> None:
    wild = CFG.model.model_copy(update={"learning_rate": 1e30, "epochs": 20})
    failed, fine = tried(inputs, [wild, CFG.model])
    assert failed.reason is not None
    assert "no longer a number" in failed.reason
    assert (failed.ndcg, len(failed.per_user)) == (0.0, 0)
    assert (fine.reason, len(fine.losses)) == (None, 1)


def test_too_few_held_out_users_are_an_error_rather_than_a_failed_configuration(inputs: Inputs) -> None:
    with pytest.raises(DataError, match="Too few users") as caught:
        tried((inputs[0], inputs[1].where("user_id < 'u10'")), [CFG.model])
    assert "at least 20 users" in str(caught.value)


def test_a_missing_device_is_an_error_rather_than_a_failed_configuration(inputs: Inputs) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(TrainingError, match="no usable CUDA device"):
        tried(inputs, [CFG.model.model_copy(update={"device": "cuda"})])


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_each_configuration_has_its_own_partition_with_all_rows(inputs: Inputs, n: int) -> None:
    rows = rows_of(inputs)
    dealt = rows.crossJoin(F.broadcast(slots_of(rows, n))).repartition(n, "slot")
    counted = dealt.groupBy(F.spark_partition_id().alias("partition"), "number").count().collect()
    assert len(counted) == len({row["partition"] for row in counted}) == len({row["number"] for row in counted}) == n
    assert {row["count"] for row in counted} == {rows.count()}


def test_training_rows_hold_all_items_and_only_users_with_a_history(inputs: Inputs) -> None:
    rows = rows_of(inputs)
    of_items = rows.where(F.col("kind") == ITEM)
    assert of_items.count() == N_ITEMS
    assert rows.count() - of_items.count() == N_USERS, "by-text has none"


def test_results_are_in_the_order_of_the_configurations() -> None:
    def row(number: int) -> Row:
        said = {"ndcg": number / 10, "recall": 0.0, "nll": 0.0, "losses": [], "seconds": 0.0}
        return Row(number=number, state="done", said=json.dumps(said), ndcg=[0.0, 1.0])

    assert [result.ndcg for result in results_of([row(1), row(2), row(0)], 3)] == [0.0, 0.1, 0.2]
