"""bench-train: all cases run on a tiny world, and the table says how they compare."""

from __future__ import annotations

from pathlib import Path

from benchmarks.quality_tiny import tiny_world
from benchmarks.train import CASES, LEDGER, run
from recsys_spark.config import Encoder
from tests.tiny_encoder import tiny_encoder


def test_every_case_is_measured_and_compared_with_one_process(tmp_path: Path) -> None:
    world = tiny_world(Encoder(model=str(tiny_encoder(tmp_path)), max_length=16), n_users=60, n_items=25)
    run(world, rounds=1, epochs=2, target=tmp_path / "results", cache=tmp_path / "cache")
    rows = LEDGER.load(tmp_path / "results")
    assert [(row["processes"], row["threads"]) for row in rows] == list(CASES)
    assert rows[0]["speed"] == 1.0
    assert all(row["seconds"] > 0 and 0 < row["loss"] < 10 for row in rows)
    text = (tmp_path / "results" / "train.md").read_text()
    assert "| tiny | 2 | 1 |" in text
