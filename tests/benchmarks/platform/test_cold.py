"""The measurement of a cold machine, on one process that computes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.common.suite import Plan
from benchmarks.platform import cold


def test_a_row_for_each_place_of_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "PRODUCTS", ("nothing",))
    rows = [row for rows in cold.measure(Plan(tiny=True)) for row in rows]
    assert [(row["code"], row["workers"]) for row in rows] == [("nothing", 1), ("the machine", 1)]
    assert all(row["cpu_s"] > 0 and row["wall_s"] >= row["imports_s"] for row in rows)
    assert "| nothing |" in "\n".join(cold.PART.section.lines(rows, rows))


def test_products_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bits = iter("ab")
    monkeypatch.setattr(cold, "run_at_once", lambda *_: ({"wall_s": 1.0}, {next(bits)}))
    with pytest.raises(ValueError, match="different bits"):
        list(cold._rows_of("lists", 1, tmp_path, ""))
