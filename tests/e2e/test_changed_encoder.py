"""A model is used with the vectors that it was trained on and no others: refused before any work, or trained again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.errors import EncoderError, StoreError
from recsys_spark.pipeline import run_pipeline
from recsys_spark.steps.names import BACKTESTED
from recsys_spark.steps.stored_model import load_artifact
from tests import tiny_encoder
from tests.e2e.small_shop import RUN_DATE, load, write_shop

NARROW = 16
AFTER_EMBED = BACKTESTED[BACKTESTED.index("embed") + 1 :]


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose run has finished; the tests put it back as it was."""
    folder = tmp_path_factory.mktemp("trained")
    file = write_shop(folder)
    run_pipeline(spark, load(file, evaluate__enabled=False), RUN_DATE, stages=BACKTESTED)
    return file


@pytest.fixture
def shop(trained: Path) -> Path:
    kept = trained.parent.with_name("kept")
    if kept.exists():
        shutil.rmtree(trained.parent)
        shutil.copytree(kept, trained.parent)
    else:
        shutil.copytree(trained.parent, kept)
    return trained


def encoder_of_width(folder: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Other weights than the shop's, of that width."""
    monkeypatch.setattr(tiny_encoder, "WIDTH", width)
    return tiny_encoder.tiny_encoder(folder, seed=1, name=f"width-{width}")


def attempts(shop: Path) -> set[Path]:
    """What stages have begun to write, and what they have finished."""
    return set((shop.parent / "store" / "runs").glob("*/main/*/attempt-*/*"))


def refused(spark: SparkSession, shop: Path, stage: str, **over: object) -> StoreError:
    before = attempts(shop)
    with pytest.raises(StoreError) as caught:
        run_pipeline(spark, load(shop, evaluate__enabled=False, **over), RUN_DATE, stages=(stage,))
    assert attempts(shop) == before, "work was begun"
    return caught.value


def test_without_its_model_stages_after_embed_are_done_and_a_whole_run_ends_before_ingest(
    spark: SparkSession, shop: Path
) -> None:
    (shop.parent / "tiny-encoder").rename(shop.parent / "away")
    before = attempts(shop)
    run_pipeline(spark, load(shop, evaluate__enabled=False), RUN_DATE, stages=AFTER_EMBED)
    with pytest.raises(EncoderError):
        run_pipeline(spark, load(shop, evaluate__enabled=False, behaviours__default_weight=0.5), RUN_DATE)
    assert attempts(shop) == before, "work was begun"


@pytest.mark.parametrize("stage", ["train", "score", "rerank"])
def test_a_stage_alone_refuses_another_encoder_than_the_one_that_was_run(
    spark: SparkSession, shop: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = encoder_of_width(shop.parent, NARROW, monkeypatch)
    error = refused(spark, shop, stage, encoder__model=str(other))
    assert "`profiles` finished with other settings" in error.what
    assert "or `pipeline`" in str(error.action)


# With equal widths nothing would fail: two spaces of vectors would be mixed in silence.
@pytest.mark.parametrize("width", [NARROW, tiny_encoder.WIDTH])
def test_other_weights_under_the_same_name_are_found_by_embed_refused_by_score_and_trained_on_by_train(
    spark: SparkSession, shop: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, folder = encoder_of_width(shop.parent, width, monkeypatch), shop.parent / "tiny-encoder"
    shutil.rmtree(folder)
    other.rename(folder)
    cfg = load(shop, evaluate__enabled=False, score__temperature=2.0)
    first = run_pipeline(spark, cfg, RUN_DATE, stages=("embed",))
    assert first.fact("embed", "width") == width
    assert first.fact("embed", "n_encoded") == first.fact("embed", "n_texts")
    error = refused(spark, shop, "score", score__temperature=2.0)
    assert "`train` finished with other settings" in error.what
    again = run_pipeline(spark, cfg, RUN_DATE, stages=("train", "score"))
    facts = load_artifact(again).facts
    assert (facts.encoder_id, facts.shape.text_width) == (first.fact("embed", "encoder_id"), width)
