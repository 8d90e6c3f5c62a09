"""embed inside the pipeline: each text once, the same bytes in every store, a night without some vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.sql import SparkSession

from recsys_spark import pipeline, tables
from recsys_spark.config.sections import Config
from recsys_spark.errors import EncoderError
from recsys_spark.pipeline import run_pipeline
from recsys_spark.spark.progress import ROWS, Counts
from recsys_spark.steps import embed, stored_model
from recsys_spark.steps.context import Context
from recsys_spark.steps.names import STAGE_NAMES
from tests.e2e.small_shop import N_ITEMS, N_USERS, RUN_DATE, TOP_N, load, write_shop
from tests.tiny_encoder import poison, vocabulary

TO_EMBED = STAGE_NAMES[: STAGE_NAMES.index("embed") + 1]
SPOILT_ITEM, SPOILT_USER = "i18", "by-spoilt-tag"
N_TEXTS = N_ITEMS + 3
"""Items, and the tags jazz, game and horror."""


def spoilt_shop(folder: Path, *words: str) -> Config:
    """The shop with one more user, who likes horror, and an encoder that has no vector for ``words``."""
    file = write_shop(folder)
    with (folder / "users.csv").open("a", encoding="utf-8") as users:
        users.write(f"{SPOILT_USER},horror\n")
    poison(folder / "tiny-encoder", *words)
    return load(file, evaluate__enabled=False, encoder__backend="torch-float32")


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Config:
    # "##8" is the end of 18.
    return spoilt_shop(tmp_path_factory.mktemp("spoilt"), "##8", "horror")


@pytest.fixture(scope="module")
def run(spark: SparkSession, cfg: Config) -> Context:
    return run_pipeline(spark, cfg, RUN_DATE)


def test_profiles_of_rejected_texts_are_named(run: Context) -> None:
    rows = [(r["table"], r["reason"], json.loads(r["row"])) for r in run.table("embed", tables.REJECTED_ROWS).collect()]
    named = sorted((table, reason, row.get("item_id") or row["user_id"]) for table, reason, row in rows)
    assert named == [("item_profiles", "not_finite", SPOILT_ITEM), ("user_profiles", "not_finite", SPOILT_USER)]
    assert all(row["text"] and len(row["content_hash"]) == 64 for _, _, row in rows)
    facts = run.area.finished("embed").facts
    assert (facts["n_texts"], facts["n_encoded"], facts["rejected"]) == (N_TEXTS, N_TEXTS - 2, {"not_finite": 2})
    assert run.store.embeddings(facts["encoder_id"]).count() == N_TEXTS - 2


def test_published_manifest_counts_rejected_texts(run: Context) -> None:
    manifest = run.store.lists.manifest(RUN_DATE)
    assert manifest is not None
    assert manifest["rejected_texts"] == {"not_finite": 2}


def test_users_are_served_as_if_the_rejected_text_were_empty(run: Context) -> None:
    lists: dict[str, list[tuple[int, str, str]]] = {}
    for row in run.store.lists.published(RUN_DATE).orderBy("user_id", "rank").collect():
        lists.setdefault(row["user_id"], []).append((row["rank"], row["item_id"], row["source"]))
    assert len(lists) == N_USERS + 4
    assert {len(rows) for rows in lists.values()} == {TOP_N}
    assert lists[SPOILT_USER] == lists["nobody"]
    assert {source for _, _, source in lists[SPOILT_USER]} == {"popular"}
    assert {source for _, _, source in lists["by-tag"]} == {"profile"}


def test_an_item_without_a_vector_is_scored_by_what_else_is_known_of_it(run: Context) -> None:
    [row] = run.table("score", tables.ITEM_VECTORS).where(f"item_id = '{SPOILT_ITEM}'").collect()
    assert np.isfinite([*row["y"], *row["theta"], row["bias"]]).all()
    assert np.any(row["theta"]), "it was bought, and has a learned part"
    assert run.table("score", tables.REJECTED_ROWS).count() == 0
    assert run.store.lists.published(RUN_DATE).where(f"item_id = '{SPOILT_ITEM}'").count() > 0


def test_the_next_run_tries_rejected_texts_again_and_goes_on(
    spark: SparkSession, run: Context, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = watched(monkeypatch)
    again = run_pipeline(spark, cfg, "2026-01-02", stages=TO_EMBED)
    assert [count.value[ROWS] for count in counts] == [2]
    assert again.fact("embed", "n_encoded") == 0
    assert again.table("embed", tables.REJECTED_ROWS).count() == 2
    same = run_pipeline(spark, cfg, RUN_DATE, stages=TO_EMBED)
    assert same.area.finished("embed") == run.area.finished("embed"), "a finished stage ran again"


@pytest.mark.parametrize(
    ("words", "what"),
    [((), "Not even a plain text gets a vector"), (("album", "game", "jazz", "horror"), "Most texts have no vector")],
)
def test_without_most_vectors_the_run_stops(
    spark: SparkSession, tmp_path: Path, words: tuple[str, ...], what: str
) -> None:
    cfg = spoilt_shop(tmp_path, *(words or vocabulary()))
    with pytest.raises(EncoderError, match="precision") as caught:
        run_pipeline(spark, cfg, RUN_DATE)
    assert caught.value.what == what
    assert not (tmp_path / f"store/runs/run_date={RUN_DATE}/main/embed.json").exists()


def test_a_model_of_another_encoder_is_trained_again_and_never_scored_with(
    run: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = next(stage for stage in pipeline.STAGES if stage.name == "train")
    key, fact = pipeline.stage_key(run, train), Context.fact
    assert stored_model.load_artifact(run).model_id == run.fact("train", "model_id")
    other = {"encoder_id": "of another model", "width": 384}

    def swapped(self: Context, stage: str, name: str) -> Any:
        return other[name] if stage == "embed" and name in other else fact(self, stage, name)

    monkeypatch.setattr(Context, "fact", swapped)
    assert pipeline.stage_key(run, train) != key
    with pytest.raises(EncoderError, match="of another model of width 384") as caught:
        stored_model.load_artifact(run)
    assert caught.value.what == "The model was trained on vectors of another encoder"


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Counts]:
    """What every encoding from now on counts."""
    plain, seen = embed.progress, list[Counts]()

    @contextmanager
    def noted(*arguments: Any, **named: Any) -> Iterator[Counts]:
        with plain(*arguments, **named) as counts:
            seen.append(counts)
            yield counts

    monkeypatch.setattr(embed, "progress", noted)
    return seen


def test_every_text_is_encoded_once_and_none_in_a_second_run_and_the_cpu_is_named(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "recsys_spark")
    cfg, counts = load(write_shop(tmp_path), encoder__device="auto"), watched(monkeypatch)
    first = run_pipeline(spark, cfg, RUN_DATE, stages=TO_EMBED)
    n_texts = first.fact("embed", "n_texts")
    assert [count.value[ROWS] for count in counts] == [n_texts] == [N_ITEMS + 2]
    second = run_pipeline(spark, cfg, "2026-01-02", stages=TO_EMBED)
    assert (second.fact("embed", "n_texts"), second.fact("embed", "n_encoded")) == (n_texts, 0)
    assert len(counts) == 1, "a second run encoded something"
    on_cpu = [line for line in caplog.messages if line == "embed: on the CPU: torch here has no CUDA"]
    assert len(on_cpu) == (0 if torch.cuda.is_available() else 1)


def test_two_independent_runs_give_equal_bytes(spark: SparkSession, tmp_path: Path) -> None:
    found = []
    for name, partitions, records in (("a", "1", "10000"), ("b", "5", "3")):
        spark.conf.set("spark.sql.shuffle.partitions", partitions)
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", records)
        try:
            run = run_pipeline(spark, load(write_shop(tmp_path / name)), RUN_DATE, stages=TO_EMBED)
        finally:
            spark.conf.set("spark.sql.shuffle.partitions", "3")
            spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
        rows = run.embeddings.collect()
        found.append({row["content_hash"]: np.array(row["vector"], np.float32).tobytes() for row in rows})
        assert len(found[-1]) == len(rows) == N_ITEMS + 2
    assert found[0] == found[1]
