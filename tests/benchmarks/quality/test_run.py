"""The quality benchmark on a tiny world, from the methods to the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality import report as quality_report
from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.report import LEDGER
from benchmarks.quality.run import Run, method_of, run_methods
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from tests.tiny_encoder import tiny_encoder


def test_tiny_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawn once in tests of their own; here they would be after every method.
    charts: list[Path] = []
    monkeypatch.setattr(quality_report, "draw_reliability", lambda path, rows: charts.append(path))
    monkeypatch.setattr(quality_report, "draw_curves", lambda path, rows: charts.append(path))
    encoder = Encoder(model=str(tiny_encoder(tmp_path)), max_length=16)
    world = tiny_world(encoder, n_users=60, n_items=25)
    methods = [
        "popularity",
        "recent popularity",
        "ItemKNN",
        "EASE",
        "text neighbours",
        "ours:epochs=2",
        "ours:epochs=2;text=0",
    ]
    assert run_methods(world, methods, ["time", "users"], Run(1, tmp_path / "results", tmp_path / "cache")) == []
    rows = LEDGER.load(tmp_path / "results")
    by_protocol = {
        protocol: {row["method"] for row in rows if row["protocol"] == protocol and row["kind"] == "figure"}
        for protocol in ("time", "users")
    }
    assert by_protocol["time"] == set(methods)
    assert by_protocol["users"] == set(methods) - {"ItemKNN", "EASE"}
    assert all(0 <= row["ndcg_low"] <= row["ndcg"] <= row["ndcg_high"] <= 1 for row in rows if row["kind"] == "figure")
    knn = next(row for row in rows if row["method"] == "ItemKNN")
    assert [settings for settings, _ in knn["tried"]] == list(BASELINES["ItemKNN"].grid)
    assert "paired difference" in (tmp_path / "results" / "quality.md").read_text()
    calibrated = [(row["method"], row["protocol"]) for row in rows if row["kind"] == "calibration"]
    assert set(calibrated) == {(name, protocol) for name in methods[-2:] for protocol in ("time", "users")}
    assert set(charts) == {tmp_path / "results" / name for name in ("calibration.png", "curves.png")}
    curves = [(row["method"], row["protocol"]) for row in rows if row["kind"] == "curve"]
    assert set(curves) == set(calibrated)


def test_a_failed_method_does_not_take_the_others_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = tiny_world(Encoder(model=str(tmp_path / "nowhere")), n_users=40, n_items=20)
    paths = Run(1, tmp_path / "results", tmp_path / "cache")
    failed = run_methods(world, ["text neighbours", "popularity"], ["last"], paths)
    assert [line.startswith("tiny, last, text neighbours: EncoderError") for line in failed] == [True]
    assert {row["method"] for row in LEDGER.load(tmp_path / "results")} == {"popularity"}
    assert "popularity" in capsys.readouterr().out


def test_a_change_of_ours_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch is not a key"):
        method_of("ours:epoch=3")
    assert method_of("ours:epochs=3;w_cos=0").grid == [{"epochs": 3.0, "w_cos": 0.0}]
