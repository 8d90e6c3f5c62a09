"""bench-train: every part runs on a tiny world, its figures can be, and the report has a section for each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.suite import Part
from benchmarks.quality.tiny import tiny_world
from benchmarks.train import data as train_data
from benchmarks.train import full, growth, items, processes, warm
from benchmarks.train.__main__ import TRAIN
from benchmarks.train.data import training_data
from benchmarks.train.items import PER_USER, centres_of, draw
from benchmarks.train.plan import TrainPlan, datasets_of
from recsys_spark.config.encoder import Encoder
from recsys_spark.training.kernels.data import Data
from recsys_spark.worker.threads import THREAD_VARIABLES
from tests.tiny_encoder import tiny_encoder

PLAN = TrainPlan(cores=1, tiny=True, rounds=1, epochs=2, n_items=400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def world(folder: Path):
    return tiny_world(Encoder(model=str(tiny_encoder(folder)), max_length=16), n_users=60, n_items=40)


@pytest.fixture(scope="module")
def data(world, folder: Path) -> Data:
    return training_data(world, 1, folder / "cache")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh process loads torch for seconds; what is computed there is the same."""
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    for part in (full, growth, items, warm):
        monkeypatch.setattr(part, "own_process", lambda _: ThreadPoolExecutor(1))


@pytest.fixture
def on_tiny(monkeypatch: pytest.MonkeyPatch, data: Data) -> None:
    """The tiny world, encoded by the tiny encoder."""
    monkeypatch.setattr(train_data, "training_data", lambda *_: data)


def run(name: str, folder: Path) -> None:
    [part] = [part for part in TRAIN.parts if part.name == name]
    TRAIN.run(part, PLAN, folder)


@pytest.mark.usefixtures("in_this_process", "on_tiny")
def test_parts_write_their_rows_and_sections(data: Data, tmp_path: Path) -> None:
    for part in ("full", "growth", "items"):
        run(part, tmp_path)
    whole, *shares, many = TRAIN.ledger.load(tmp_path)

    n_users, n_behaviours = data.histories.n_users, len(data.histories.items)
    assert (whole["dataset"], whole["users"], whole["behaviours"]) == ("tiny", n_users, n_behaviours)
    assert (whole["trial_epochs"], whole["epochs"]) == (6, 12)
    assert whole["seconds"] >= whole["epoch_seconds"] > 0
    assert 0 < whole["before_bytes"] <= whole["peak_bytes"]

    assert [row["share"] for row in shares] == [0.25, 0.5, 1.0]
    assert [row["users"] for row in shares] == [round(n_users / 4), round(n_users / 2), n_users]
    assert shares[-1]["behaviours"] == n_behaviours
    assert {row["items"] for row in shares} == {40}
    for row in shares:
        assert row["seconds_per_100k"] == pytest.approx(row["seconds"] * 100_000 / row["behaviours"])

    assert (many["items"], many["users"], many["behaviours"]) == (400, 40, 400)
    assert 0 < many["warm_items"] < 400
    assert many["steps"] == many["of_steps"] > 0
    assert many["seconds_per_step"] > 0
    assert 0 < many["drawn_bytes"] <= many["peak_bytes"]

    text = (tmp_path / "train.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## The whole training",
        "## Growth with users",
        "## A catalogue of many items",
    ]
    assert f"| tiny | {n_users} (100%) | {n_behaviours} |" in text


@pytest.mark.usefixtures("in_this_process", "on_tiny")
def test_a_warm_start_is_measured_next_to_one_from_scratch(tmp_path: Path) -> None:
    run("warm", tmp_path)
    rows = TRAIN.ledger.load(tmp_path)
    yesterday, scratch, *later = rows
    assert [(row["start"], row["epochs"]) for row in (yesterday, scratch)] == [
        ("yesterday's as it was", 0),
        ("from scratch", 12),
    ]
    assert [row["epochs"] for row in later] == list(warm.WARM_EPOCHS)
    assert len({row["ndcg"] for row in rows}) > 3, "these are not five models"
    assert 0 < yesterday["new_behaviours"] < 0.1 * yesterday["behaviours"]
    assert all(row["seconds"] > 0 for row in (scratch, *later))
    assert "difference" not in scratch
    for row in (yesterday, *later):
        assert row["difference"] == pytest.approx(row["ndcg"] - scratch["ndcg"], abs=1e-6)
    assert "## From the model of the night before" in (tmp_path / "train.md").read_text()


def test_a_smaller_share_of_users_is_part_of_a_larger_one(data: Data) -> None:
    few, more = (set(growth.some_users(data.histories, share).user_ids) for share in (0.25, 0.5))
    assert 0 < len(few) < len(more) < data.histories.n_users
    assert few < more


def test_made_up_items_lie_around_centres_and_users_have_a_taste() -> None:
    n_items = 2_000
    data, again = draw(n_items), draw(n_items)
    n_centres = centres_of(n_items)
    vectors, items = data.catalogue.vectors, data.histories.items
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert (vectors[0] @ vectors[n_centres]) > 0.4 > vectors[0] @ vectors[1]
    assert items.min() >= 0
    assert items.max() < n_items
    assert list(data.catalogue.ids) == sorted(data.catalogue.ids)
    centres = items.reshape(-1, PER_USER) % n_centres
    most = np.array([np.bincount(row).max() for row in centres])
    assert 0.7 < most.mean() / PER_USER < 0.95
    counts = np.sort(data.catalogue.popularity.total)[::-1]
    assert counts.sum() == len(items)
    assert counts[: n_items // 10].sum() > 0.4 * len(items)
    assert (np.diff(data.histories.times.reshape(-1, PER_USER), axis=1) >= 0).all()
    assert np.array_equal(items, again.histories.items)
    assert np.array_equal(vectors, again.catalogue.vectors)


def test_long_epochs_are_cut_short(in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MAX_STEPS", 1)
    [[row]] = items.measure(TrainPlan(cores=1, n_items=3_000))
    assert row["steps"] == 1 < row["of_steps"]


def test_a_data_set_measured_again_replaces_its_own_rows_alone(tmp_path: Path) -> None:
    sizes = {"users": 1, "behaviours": 1, "items": 1, "threads": 2, "trial_epochs": 6, "epochs": 12, "peak_bytes": 1e9}

    def measured(dataset: str, seconds: float) -> None:
        rows = [{"dataset": dataset, "seconds": seconds, **sizes}]
        TRAIN.run(Part("full", "it", lambda _: [rows], full.PART.section), TrainPlan(), tmp_path)

    for dataset, seconds in (("amazon-beauty", 800.0), ("ml-latest-small", 200.0), ("amazon-beauty", 700.0)):
        measured(dataset, seconds)
    found = {row["dataset"]: row["seconds"] for row in TRAIN.ledger.load(tmp_path)}
    assert found == {"ml-latest-small": 200.0, "amazon-beauty": 700.0}
    assert "| amazon-beauty | 1 | 1 | 1 | 2 | 6 + 12 | 11.7 | 1.00 |" in (tmp_path / "train.md").read_text()


def test_data_sets_are_the_ones_asked_for_else_the_usual_ones() -> None:
    assert datasets_of(TrainPlan(), ("usual",)) == ("usual",)
    assert datasets_of(TrainPlan(datasets=("asked",)), ("usual",)) == ("asked",)
    assert datasets_of(PLAN, ("usual",)) == ("tiny",)


@pytest.mark.parametrize("given", [["--epochs", "1"], ["--datasets", "poems"]])
def test_a_single_epoch_and_unknown_data_are_refused(given: list[str]) -> None:
    with pytest.raises(SystemExit):
        TRAIN.main(["--parts", "growth", *given])


def test_two_processes_are_compared_with_one(data: Data) -> None:
    one, two = processes.rows_of(data, "tiny", PLAN, cases=((1, 1), (2, 1)))
    assert (one["processes"], two["processes"], one["speed"]) == (1, 2, 1.0)
    assert two["speed"] == pytest.approx(one["seconds"] / two["seconds"])
    assert all(row["seconds"] > 0 and 0 < row["loss"] < 10 for row in (one, two))
