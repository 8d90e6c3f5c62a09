"""What a benchmark keeps of its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.common.ledger import Ledger

LEDGER = Ledger("x", ("kernel", "stage", "memory"))


def test_a_part_replaces_its_own_rows_and_no_others() -> None:
    old = [{"part": "kernel", "n": 1}, {"part": "stage", "n": 2}, {"part": "memory", "n": 3}]
    new = LEDGER.merged(old, "stage", [{"n": 4}, {"n": 5}])
    assert [(row["part"], row["n"]) for row in new] == [("kernel", 1), ("stage", 4), ("stage", 5), ("memory", 3)]


def test_rows_of_another_value_stay_if_a_key_is_named() -> None:
    old = [{"part": "stage", "texts": "titles", "n": 1}, {"part": "stage", "texts": "profiles", "n": 2}]
    new = LEDGER.merged(old, "stage", [{"texts": "titles", "n": 3}], by="texts")
    assert [(row["texts"], row["n"]) for row in new] == [("profiles", 2), ("titles", 3)]


def test_a_part_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="not in"):
        LEDGER.merged([], "no such part", [{"n": 1}])


def test_rows_keep_the_machine_they_were_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, part in (("one machine", "kernel"), ("another machine", "stage")):
        monkeypatch.setattr("benchmarks.common.ledger.machine", lambda name=name: name)
        rows = LEDGER.save(tmp_path / "new", part, [{"n": 1}])
    assert [(row["part"], row["machine"]) for row in rows] == [("kernel", "one machine"), ("stage", "another machine")]
    assert LEDGER.load(tmp_path / "new") == rows
    assert json.loads((tmp_path / "new" / "x.json").read_text())["machine"] == "another machine"
    assert LEDGER.load(tmp_path / "nowhere") == []
