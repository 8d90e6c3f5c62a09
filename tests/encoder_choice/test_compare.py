"""`recsys-spark encoders`: from a configuration to a table, a sentence and three files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark import cli, contract
from recsys_spark.config.encoder import Encoder
from recsys_spark.encoder_choice import compare
from recsys_spark.encoder_choice.candidates import backends
from recsys_spark.encoder_choice.compare import Comparison, Measured, _died
from recsys_spark.encoder_choice.inputs import Inputs
from recsys_spark.encoder_choice.measurement import Measurement, TextSample
from recsys_spark.encoder_choice.report import draw, table_rows, text_table
from recsys_spark.encoder_choice.sample import Sample
from recsys_spark.encoder_choice.verdict import Quality, Verdict
from recsys_spark.errors import ConfigError
from tests.builders import config, frame, interaction
from tests.e2e.small_shop import RUN_DATE, write_shop
from tests.encoder_choice.test_probe import probe_of
from tests.encoding.model_folders import resolve, rewrite
from tests.tiny_encoder import WIDTH, tiny_encoder

Encoders = Callable[..., int]


@pytest.fixture
def encoders(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoders:
    """The command with the tests' own session, which it must not stop, on 12 users with two items of a kind each."""
    monkeypatch.setattr("recsys_spark.spark.session.create_session", lambda *_, **__: spark)
    monkeypatch.setattr(spark, "stop", lambda: None)
    events = [interaction(f"u{n}", f"i{(n + 2 * d) % 8}", days_ago=d + 1) for n in range(12) for d in range(2)]
    profiles = [(f"i{n}", f"{'blue album' if n % 2 else 'space game'} {n}") for n in range(8)]
    inputs = Inputs(
        frame(spark, contract.INTERACTIONS, events),
        spark.createDataFrame(profiles, "item_id string, text string"),
        spark.createDataFrame([("jazz",), (None,)], "text string"),
        "a test",
    )
    monkeypatch.setattr(compare, "profile_inputs", lambda *_: nullcontext(inputs))
    file = write_shop(tmp_path)
    return lambda *words: cli.main(["encoders", "--config", str(file), "--run-date", RUN_DATE, *words])


def test_candidates_are_measured_and_the_rest_goes_on_without_a_broken_one(
    encoders: Encoders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(tmp_path / "tiny-encoder", tmp_path / "broken")
    rewrite(broken / "config.json", num_hidden_layers=3)
    out = tmp_path / "out" / "deep"
    # `broken` says what is wrong when it is loaded, `absent` before.
    words = ["--candidates", f"absent,{broken},{tmp_path / 'tiny-encoder'}", "--rounds", "1", "--out", str(out)]
    assert encoders(*words) == 0
    printed = capsys.readouterr().out
    content = json.loads((out / "encoders.json").read_text())
    absent, loaded, fine = content["candidates"]
    assert "neither a folder nor an installed package" in absent["error"]
    assert "the weights do not belong to the model's config.json" in loaded["error"]
    assert fine["error"] is None
    backend = fine["encoder"]["backend"]
    assert backend in backends(), "what `auto` stands for here"
    assert (fine["name"], fine["width"]) == (f"tiny-encoder@{backend}", WIDTH)
    assert fine["rounds"][0]["n_texts"] == 9, "of eight items, and of the user who has one"
    assert content["n_users"] == 12
    assert 0 < fine["quality"]["recall"] <= 1
    assert fine["quality"]["loss"] == 0
    page = (out / "encoders.md").read_text()
    for text in (printed, page):
        assert content["sentence"] in text
        assert "failed: the weights do not belong" in text
    assert "16 tensors missing" in page, "the whole error is in the file"
    assert "over all 8 items with text" in page
    assert (out / "encoders.png").read_bytes().startswith(b"\x89PNG")


def test_where_nothing_can_be_measured_the_status_says_so(
    encoders: Encoders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before anything is read, which may take long.
    monkeypatch.delattr(compare, "profile_inputs")
    assert encoders("--candidates", "absent,/nowhere/else") == 5
    said = capsys.readouterr().err
    assert "No candidate could be measured" in said
    assert "absent: the encoder is not on this machine" in said
    assert "/nowhere/else" in said


@pytest.mark.parametrize("words", [("--texts", "0"), ("--users", "some"), ("--items", "-3"), ("--rounds", "0")])
def test_a_size_that_is_not_a_positive_count_is_refused(words: tuple[str, str], encoders: Encoders) -> None:
    assert encoders(*words) == ConfigError.exit_code


def test_the_message_about_a_process_without_a_result_says_how_it_ended() -> None:
    assert _died(-9, "") == "the process was ended by SIGKILL, often because memory was exhausted"
    assert _died(-11, "") == "the process was ended by SIGSEGV"
    assert _died(3, "long story\nImportError: x\n") == "the process ended with status 3: ImportError: x"


def test_a_candidate_that_dies_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare.sys, "executable", "false")
    row = Measured("x", config().encoder, resolve(tiny_encoder(tmp_path)))
    tried: list[int] = []
    monkeypatch.setattr(compare, "_outcome", lambda r: tried.append(len(r.measurements)))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    prepared = compare.Prepared([row], sample(), "2026-01-01", 1, needs_spark=False)
    with pytest.raises(compare.EncoderError, match="ended with status 1"):
        compare.compare(prepared)
    assert tried == [0]


def sample() -> Sample:
    probe = probe_of([0, 1, 2], [(1, [(0, 1.0)], [])])
    return Sample(TextSample(["a"], [], ["a", "b", "c"]), probe, probe.targets.view("uint64"), 3, "a test", "No more.")


def measured(name: str, seconds: list[float], recall: float, tmp_path: Path) -> Measured:
    measurements = [Measurement(1.0 + s, int(1e6 * s), "cpu", 0, 100, 1_000, s, s, 0.25, 0.125, None) for s in seconds]
    quality = Quality(recall, recall / 2, recall * 1.5, 0.0, 0.0, 0.0)
    return Measured(name, config().encoder, resolve(tmp_path / "tiny-encoder"), measurements, quality=quality)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    tiny_encoder(tmp_path)
    rows = [measured("slow", [4.0, 2.0, 5.0], 0.5, tmp_path), measured("quick", [1.0], 0.25, tmp_path)]
    rows.append(Measured("gone", config().encoder, error="it is gone\n  where: away"))
    return Comparison(rows, Verdict(1, "Take quick."), sample(), "2026-01-01", 1)


def test_a_row_shows_the_median_of_the_rounds_and_their_spread(comparison: Comparison) -> None:
    head, slow, quick, gone = table_rows(comparison)
    assert dict(zip(head, slow, strict=True)) == {
        "encoder": "slow",
        "texts/s": "25",
        "tokens/s": "250",
        "spread": "120%",
        "load s": "5.0",
        "memory MB": "5",
        "width": str(WIDTH),
        "unknown": "25.0%",
        "cut": "12.5%",
        "recall@10 (95% interval)": "0.5000 (0.2500 to 0.7500)",
    }
    assert (quick[0], quick[3]) == ("quick *", "0%")
    assert (gone[0], gone[1], gone[-1]) == ("gone", "-", "failed: it is gone")
    lines = text_table([head, slow, quick, gone]).splitlines()
    assert len({line.index("  ", len("encoder  ") - 2) for line in lines[:1]}) == 1
    assert [line.rstrip()[:7].strip() for line in lines] == ["encoder", "slow", "quick *", "gone"]


def test_a_chart_is_drawn_of_any_number_of_candidates(comparison: Comparison, tmp_path: Path) -> None:
    comparison.rows.extend(
        measured(f"m{n}", [1.0], recall, tmp_path) for n, recall in enumerate([0.25, 0.25, 0.0, 0.0, 0.5])
    )
    draw(comparison, tmp_path / "many.png")
    assert (tmp_path / "many.png").stat().st_size > 10_000


def test_auto_stands_for_what_the_embed_stage_would_take(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "on_gpus", lambda *_: True)
    [row], _ = compare._found(spark, [Encoder(model=str(tiny_encoder(tmp_path)))])
    assert row.spec is not None
    assert row.spec.backend == "torch-float16"
