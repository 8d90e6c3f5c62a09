"""Readers of public data sets."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks.quality.readers import read_world
from benchmarks.quality.split import protocols_of
from benchmarks.quality.texts import item_texts
from benchmarks.quality.tiny import DAY


def test_beauty_is_read_with_items_that_nobody_bought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "amazon-beauty"
    folder.mkdir()
    tables = {
        "interactions": "user_id\titem_id\ttimestamp\nb\t10\t86400\nb\t9\t86400\na\t9\t0\n",
        "items": 'item_id\ttitle\n9\tA 5" brush\n10\tSoap &amp; oil\n11\tNew\n',
    }
    for name, text in tables.items():
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("RECSYS_DATA_DIR", str(tmp_path))
    world = read_world("amazon-beauty")
    assert world.items.tolist() == ["10", "11", "9"]
    assert world.rows.item.tolist() == [0, 2, 2]
    assert item_texts(world) == ["Soap & oil", "New", 'A 5" brush']
    assert protocols_of(world) == ["time", "last"]
    assert world.as_of == DAY + 1
