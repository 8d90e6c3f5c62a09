"""What the quality benchmark keeps of its rows, and which methods it pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.metrics import OVERALL, SEGMENTS, Values
from benchmarks.quality.report import LEDGER, keep
from benchmarks.quality.rows import best_rival, figure_rows, load_values, store_values


def test_a_method_replaces_its_own_rows_and_is_paired_with_those_of_its_split_alone(tmp_path: Path) -> None:
    ids = np.array(["a", "b", "c"], object)

    def kept(method: str, label: str, hits: list[float]) -> None:
        some = {name: Values(np.arange(3), np.repeat(hits, 2).reshape(3, 2)) for name in SEGMENTS}
        facts = {"protocol": "last", "method": method, "label": label, "settings": {}, "tried": [], "threads": 1}
        facts |= {"tune_s": 0.0, "fit_s": 1.0, "fit_cpu_s": 1.0, "evaluate_s": 0.0}
        store_values(label, method, some, tmp_path)
        keep(tmp_path, "tiny", "last", figure_rows(some, ids, **facts), ids, tmp_path)

    kept("EASE", "one", [0.0, 0.5, 1.0])
    kept("iALS", "one", [1.0, 1.0, 1.0])
    kept("iALS", "of other data", [1.0, 1.0, 1.0])
    kept("ours", "one", [0.5, 0.5, 1.0])
    kept("EASE", "one", [0.0, 0.5, 0.5])
    rows = LEDGER.load(tmp_path)
    figures = {row["method"]: row["ndcg"] for row in rows if (row["kind"], row["segment"]) == ("figure", OVERALL)}
    assert figures == {"EASE": pytest.approx(1 / 3), "iALS": 1.0, "ours": pytest.approx(2 / 3)}
    assert sum(row["method"] == "EASE" and row["segment"] == OVERALL for row in rows) == 1
    [difference] = [row for row in rows if row["kind"] == "difference" and row["segment"] == OVERALL]
    assert (difference["method"], difference["rival"]) == ("ours", "EASE")
    assert difference["ndcg"] == pytest.approx(1 / 3)
    assert difference["ndcg_relative"] == pytest.approx(1.0)
    assert set(load_values("one", tmp_path)) == {"EASE", "iALS", "ours"}
    assert best_rival(rows, OVERALL) == "iALS"
    text = (tmp_path / "quality.md").read_text()
    assert "| ours | 0.6667 / 0.6667 |" in text
    assert (tmp_path / "quality.png").stat().st_size > 0
