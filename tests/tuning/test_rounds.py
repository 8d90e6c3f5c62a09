"""Tuning as a whole: it goes on where it was killed, refuses rounds that it cannot read, and in doubt keeps the
file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recsys_spark import cli
from recsys_spark.config.file import load_config
from recsys_spark.config.model import Model
from recsys_spark.encoder_choice.report import text_table
from recsys_spark.errors import ConfigError, StoreError, TrainingError
from recsys_spark.spark import session
from recsys_spark.steps.context import Context
from recsys_spark.tuning import file as tuning_file
from recsys_spark.tuning import rounds as tuning
from recsys_spark.tuning.ledger import TriedEntry
from recsys_spark.tuning.rounds import Tuned, table_rows, tune, verdict, winner_of
from recsys_spark.tuning.tasks import Result
from tests.e2e.small_shop import RUN_DATE, load
from tests.tuning.tuning_world import SPACE, before_train, tuning_shop

DIVERGED = "The training loss is no longer a number\n  where:    epoch 1"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuning_shop(tmp_path_factory.mktemp("tuning"))


@pytest.fixture(scope="module")
def ctx(spark: SparkSession, file: Path) -> Context:
    return before_train(spark, file)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[list[Model]]:
    """The rounds that were asked for; there is no training, and wider models count as better for every user."""
    asked: list[list[Model]] = []

    def try_them(_: Context, models: Sequence[Model]) -> list[Result]:
        asked.append(list(models))
        return [result(0.1 + model.width / 100) for model in models]

    monkeypatch.setattr(tuning, "_tried", try_them)
    return asked


def result(ndcg: float, reason: str | None = None) -> Result:
    per_user = np.full(30, ndcg) + np.linspace(-0.01, 0.01, 30)
    return Result(ndcg, 0.2, 5.0, [3.0, 2.0], 1.5, per_user, reason)


def trial(ndcg: float, gain: float = 0.0, error: float = 0.01, reason: str | None = None, **params: Any) -> TriedEntry:
    return TriedEntry({"width": 16, "dropout": 0.25, **params}, ndcg, ndcg, 5.0, [3.0], 12.0, gain, error, reason)


def run(ctx: Context, n: int, seed: int, parallel: int = 2) -> Tuned:
    return tune(ctx, n_trials=n, parallel=parallel, seed=seed, space=SPACE)


def test_a_killed_tuning_goes_on_and_trains_only_what_is_missing(ctx: Context) -> None:
    first = run(ctx, 2, seed=1)
    again = run(ctx, 3, seed=1)
    assert list(again.trials[:2]) == list(first.trials), (
        "with the seconds of the first call: they were not trained again"
    )
    assert len(again.trials) == 3
    assert again.n_users == first.n_users >= 20
    own = first.trials[0]
    assert (own.params, own.gain, own.gain_error) == ({"width": 16, "dropout": ctx.cfg.model.dropout}, 0.0, 0.0)
    for other in again.trials[1:]:
        assert other.gain == pytest.approx(other.ndcg - own.ndcg, abs=1e-9)
        assert other.gain_error > 0


def test_after_a_crash_tuning_tries_the_same_configurations(ctx: Context, rounds: list[list[Model]]) -> None:
    whole = run(ctx, 6, seed=2)
    asked = [model for one in rounds for model in one]
    ctx.store.files.delete(f"{whole.ledger}/00004.json")
    rounds.clear()
    again = run(ctx, 6, seed=2)
    assert [[model] for model in asked[4:]] == [[model] for one in rounds for model in one]
    assert again == whole


def test_finished_tries_are_not_repeated_and_other_seeds_or_spaces_share_none(
    ctx: Context, rounds: list[list[Model]]
) -> None:
    run(ctx, 3, seed=3)
    assert [len(one) for one in rounds] == [2, 1]
    rounds.clear()
    run(ctx, 2, seed=3)
    assert rounds == []
    run(ctx, 1, seed=4)
    tune(ctx, n_trials=1, parallel=1, seed=3, space=SPACE[:1])
    assert len(rounds) == 2


def test_a_changed_model_in_the_file_begins_another_tuning(
    ctx: Context, spark: SparkSession, file: Path, rounds: list[list[Model]]
) -> None:
    one = run(ctx, 1, seed=5)
    other = run(before_train(spark, file, model__n_layers=2), 1, seed=5)
    assert one.ledger != other.ledger
    assert [models[0].n_layers for models in rounds] == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "gone"])
def test_a_damaged_or_foreign_round_is_refused_and_the_error_names_it(
    ctx: Context, rounds: list[list[Model]], damage: str
) -> None:
    seed = 10 + len(damage) * 7 + ord(damage[0])
    folder = run(ctx, 4, seed=seed).ledger
    files, path = ctx.store.files, f"{folder}/00000.json"
    content = files.read(path)
    if damage == "gone":
        files.delete(path)
    elif damage == "other":
        files.write(path, content.replace(folder.rsplit("/", 1)[1].encode(), b"0123456789abcdef"))
    else:
        files.write(path, content[: len(content) // 2] if damage == "cut" else b"")
    rounds.clear()
    with pytest.raises(StoreError, match="round of an earlier tuning") as caught:
        run(ctx, 5, seed=seed)
    assert folder in str(caught.value.where)
    assert "Delete that folder" in str(caught.value.action)
    assert rounds == []


def test_a_half_written_round_is_never_read(ctx: Context, rounds: list[list[Model]]) -> None:
    folder = run(ctx, 2, seed=6).ledger
    ctx.store.files.write(f"{folder}/.00002.json.part", b"{")
    run(ctx, 4, seed=6)
    assert [len(one) for one in rounds] == [2, 2]


def test_a_configuration_wins_only_if_better_by_more_than_a_standard_error() -> None:
    own = trial(0.10, error=0.0)
    assert winner_of([own, trial(0.12, 0.02, 0.019), trial(0.11, 0.01, 0.001)], "here") == 1
    assert winner_of([own, trial(0.12, 0.02, 0.021), trial(0.09, -0.01, 0.001)], "here") == 0
    assert winner_of([own], "here") == 0


def test_if_the_files_configuration_fails_the_best_other_wins(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([result(0.0, DIVERGED), result(0.2), result(0.3), result(0.1)])
    monkeypatch.setattr(tuning, "_tried", lambda _, models: [next(results) for _ in models])
    tuned = run(ctx, 4, seed=7)
    assert (tuned.winner, tuned.n_users) == (2, 0)
    assert tuned.trials[0].reason == DIVERGED
    assert "could not be trained" in verdict(tuned, "shop.toml")


def test_if_all_configurations_fail_the_error_gives_the_first_reason() -> None:
    with pytest.raises(TrainingError, match="No configuration could be trained") as caught:
        winner_of([trial(0.0, reason=DIVERGED)] * 2, "STORE/tuning")
    assert "no longer a number" in caught.value.found


def test_the_table_is_sorted_by_ndcg_and_gives_reasons_of_failures() -> None:
    trials = [trial(0.1, error=0.0), trial(0.0, reason=DIVERGED), trial(0.1234, 0.0234, 0.004, width=32)]
    rows = table_rows(Tuned(trials, 2, 300, "there"))
    assert rows[0][:7] == ["tried", "ndcg@10", "to the file", "recall@10", "seconds", "width", "dropout"]
    assert [row[0] for row in rows[1:]] == ["3 *", "1 (file)", "2"]
    assert rows[1][1:7] == ["0.1234", "+0.0234 +- 0.0040", "0.1234", "12.0", "32", "0.25"]
    assert [row[-1] for row in rows] == ["failed", "", "", "The training loss is no longer a number where: epoch 1"]
    assert text_table(rows).count("\n") == 3
    assert table_rows(Tuned(trials[:1], 0, 300, "there"))[0][-1] == "dropout", "nothing failed"


def test_the_verdict_says_if_nothing_was_better_and_warns_of_a_chosen_gain() -> None:
    trials = [trial(0.1, error=0.0), trial(0.1234, 0.0234, 0.004, width=32)]
    better, same = Tuned(trials, 1, 300, "there"), Tuned(trials, 0, 300, "there")
    assert "Configuration 2 is better than the one in shop.toml" in verdict(better, "shop.toml")
    assert "expect less of the gain" in verdict(better, "shop.toml")
    assert verdict(same, "shop.toml").startswith("Nothing that was tried is better than the configuration of shop.toml")
    assert "+0.0234, with a standard error of 0.0040" in verdict(same, "shop.toml")
    assert "no other configuration was measured" in verdict(Tuned(trials[:1], 0, 300, "there"), "shop.toml")
    assert (better.changes, same.changes) == ({"width": 32}, {})


@pytest.fixture
def command(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a tuning on the tests' session, which it must not stop."""

    class Kept:
        def __getattr__(self, name: str) -> Any:
            return (lambda: None) if name == "stop" else getattr(spark, name)

    monkeypatch.setattr(session, "create_session", lambda *_, **__: Kept())
    return ["tune", "--run-date", RUN_DATE, "--trials", "3", "--parallel", "3"]


def test_the_command_leaves_a_file_that_the_pipeline_reads(
    file: Path, command: list[str], rounds: list[list[Model]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = file.with_name("tuned.toml")
    assert cli.main([*command, "--config", str(file), "--out", str(out)]) == 0
    said, won = capsys.readouterr().out, max(rounds[0], key=lambda model: model.width)
    assert "is better than the one in" in said
    assert f"wrote {out}" in said
    found, given = load_config(out), load(file)
    assert found.model == won != given.model
    assert found.model_copy(update={"model": given.model}) == given


@pytest.mark.parametrize(
    "wrong", [["--trials", "0"], ["--trials", "-1"], ["--parallel", "0"], ["--parallel", "two"], ["--seed", "x"]]
)
def test_options_that_are_not_valid_numbers_are_refused(
    file: Path, command: list[str], wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*command, "--config", str(file), "--out", str(file.with_name("t.toml")), *wrong]
    assert cli.main(words) == ConfigError.exit_code
    assert wrong[0] in capsys.readouterr().err


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(session, "create_session", never)


@pytest.mark.usefixtures("no_session")
def test_without_optuna_the_command_fails_before_spark_starts(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tuning_file.importlib.util, "find_spec", lambda name: None if name == "optuna" else name)
    words = ["tune", "--config", str(file), "--run-date", RUN_DATE, "--out", str(file.with_name("t.toml"))]
    assert cli.main(words) == 2
    assert "pip install 'recsys-spark[tune]'" in capsys.readouterr().err


@pytest.mark.usefixtures("no_session")
def test_out_equal_to_the_configuration_fails_before_spark_starts(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    assert cli.main(["tune", "--config", str(file), "--run-date", RUN_DATE, "--out", str(file)]) == 2
    assert "the configuration itself" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_progress_is_logged_after_each_round(
    ctx: Context, rounds: list[list[Model]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="recsys_spark"):
        run(ctx, 3, seed=8)
    lines = [record.getMessage() for record in caplog.records if "configurations tried" in record.getMessage()]
    assert [line.split(",")[0] for line in lines] == [
        "tune: 2 of 3 configurations tried",
        "tune: 3 of 3 configurations tried",
    ]
    assert len(rounds) == 2


def test_a_trial_read_from_the_ledger_is_unchanged(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(result(0.2), nll=float("inf"))
    monkeypatch.setattr(tuning, "_tried", lambda _, models: [odd for _ in models])
    assert run(ctx, 2, seed=9) == run(ctx, 2, seed=9)
