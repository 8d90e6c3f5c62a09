"""train inside the pipeline: it goes on where it was killed, and starts from last night's model where asked to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recsys_spark.errors import ConfigError
from recsys_spark.pipeline import run_pipeline
from recsys_spark.steps import stored_model, train
from recsys_spark.steps.context import Context
from recsys_spark.steps.names import STAGE_NAMES
from tests.e2e.small_shop import RUN_DATE, load, write_shop

TO_TRAIN = STAGE_NAMES[: STAGE_NAMES.index("train") + 1]
NEXT_DAY = "2026-01-02"


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def whole(spark: SparkSession, shop: Path) -> Context:
    return run_pipeline(spark, load(shop, model__checkpoint_steps=1), RUN_DATE, stages=TO_TRAIN)


def test_a_killed_training_goes_on_with_the_same_model_unless_its_checkpoint_is_cut_short(
    spark: SparkSession, shop: Path, whole: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert whole.fact("train", "resumed") == ""
    cfg = load(shop, model__checkpoint_steps=1, run__store=str(tmp_path / "store"))

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(train, "model_card", die)
        with pytest.raises(Killed):
            run_pipeline(spark, cfg, RUN_DATE, stages=TO_TRAIN)
    [checkpoint] = (tmp_path / "store").rglob("checkpoint.safetensors")
    content = checkpoint.read_bytes()

    checkpoint.write_bytes(content[:500])
    ctx = run_pipeline(spark, cfg, RUN_DATE, stages=TO_TRAIN)
    refused = ctx.fact("train", "resumed")
    assert refused.startswith("the checkpoint is refused, training starts over: The checkpoint cannot be read")
    assert str(checkpoint) in refused
    assert ctx.fact("train", "model_id") == whole.fact("train", "model_id")
    assert not checkpoint.exists()

    # As if it had been killed once more.
    checkpoint.write_bytes(content)
    checkpoint.parent.with_suffix(".json").unlink()
    ctx = run_pipeline(spark, cfg, RUN_DATE, stages=TO_TRAIN)
    assert ctx.fact("train", "resumed").startswith("goes on in epoch 3 of the final run")
    assert ctx.fact("train", "model_id") == whole.fact("train", "model_id")


def test_tomorrow_starts_from_the_model_of_today(spark: SparkSession, shop: Path, whole: Context) -> None:
    cfg = load(shop, model__warm_epochs=1)
    ctx = run_pipeline(spark, cfg, NEXT_DAY, stages=TO_TRAIN)
    assert ctx.fact("train", "warm_from") == {"run_date": RUN_DATE, "model_id": whole.fact("train", "model_id")}
    assert (len(ctx.fact("train", "losses")), ctx.fact("train", "trial")) == (1, [])
    assert ctx.fact("train", "losses")[0]["loss"] < whole.fact("train", "losses")[0]["loss"]
    assert ctx.fact("train", "started_from") == RUN_DATE
    assert f"training began with the model of {RUN_DATE}" in ctx.area.file("train", stored_model.MODEL_CARD).decode()
    finished = ctx.area.finished("train")
    assert run_pipeline(spark, cfg, NEXT_DAY, stages=TO_TRAIN).area.finished("train") == finished


def test_a_model_of_another_shape_is_not_taken(spark: SparkSession, shop: Path, whole: Context) -> None:
    cfg = load(shop, model__warm_epochs=1, model__width=8)
    ctx = run_pipeline(spark, cfg, NEXT_DAY, stages=TO_TRAIN)
    assert len(ctx.fact("train", "losses")) == 3
    assert ctx.fact("train", "started_from") is None


def test_an_earlier_model_that_is_cut_short_costs_no_night(spark: SparkSession, shop: Path, whole: Context) -> None:
    tensors = Path(whole.area.finished("train").attempt) / stored_model.MODEL_TENSORS
    content = tensors.read_bytes()
    tensors.write_bytes(content[:100])
    try:
        ctx = run_pipeline(spark, load(shop, model__warm_epochs=2), NEXT_DAY, stages=TO_TRAIN)
    finally:
        tensors.write_bytes(content)
    assert len(ctx.fact("train", "losses")) == 3
    assert ctx.fact("train", "started_from") is None


def test_two_tasks_train_one_model(spark: SparkSession, shop: Path, whole: Context) -> None:
    alone, before = stored_model.model_of(whole.area), whole.fact("train", "model_id")
    ctx = run_pipeline(spark, load(shop, model__processes=2), RUN_DATE, stages=TO_TRAIN)
    together = stored_model.model_of(ctx.area)
    assert ctx.fact("train", "model_id") == together.model_id != before
    for name in ("n_users", "n_positions", "warm_item_ids", "first_time", "last_time"):
        assert getattr(together.facts, name) == getattr(alone.facts, name)
    assert alone.facts.config_fingerprint == whole.cfg.fingerprint()
    assert together.facts.config_fingerprint == ctx.cfg.fingerprint() != whole.cfg.fingerprint()
    np.testing.assert_allclose(together.tensors["links.values"], alone.tensors["links.values"], atol=1e-5)


def test_more_training_tasks_than_run_at_once_are_refused(spark: SparkSession, shop: Path) -> None:
    with pytest.raises(ConfigError, match="no room for the configured number of training processes") as caught:
        run_pipeline(spark, load(shop, model__processes=99), RUN_DATE, stages=TO_TRAIN)
    assert caught.value.where == "model.processes"


def test_several_tasks_under_dynamic_allocation_are_refused(shop: Path) -> None:
    conf = {"spark.dynamicAllocation.enabled": "true"}
    spark: Any = SimpleNamespace(conf=conf, sparkContext=SimpleNamespace(defaultParallelism=8, master="yarn"))
    train.check(spark, load(shop))
    with pytest.raises(ConfigError, match="executors that stay"):
        train.check(spark, load(shop, model__processes=2))
    conf.clear()
    train.check(spark, load(shop, model__processes=2))
