"""The rows of the training benchmark, and what its parts are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.ledger import Ledger, Row

PROCESSES, FULL, GROWTH, WARM, ITEMS = PARTS = ("processes", "full", "growth", "warm", "items")
LEDGER = Ledger("train", PARTS)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    cores: int = 2
    rounds: int = 3
    """Of processes and growth"""
    epochs: int = 3
    """Of processes and growth; the first is not timed"""
    n_items: int = 1_000_000
    """Of the part items"""


def of(rows: Sequence[Row], part: str) -> list[Row]:
    """The rows of a part.

    >>> of([{"part": "full"}, {"part": "items"}], "items")
    [{'part': 'items'}]
    """
    return [row for row in rows if row["part"] == part]


def keep(folder: Path, part: str, rows: Sequence[Row]) -> None:
    """Replace the rows of ``part`` of these data sets, those of others stay, and write the report anew."""
    from benchmarks.train.report import report

    measured = {row["dataset"] for row in rows}
    others = [row for row in of(LEDGER.load(folder), part) if row["dataset"] not in measured]
    saved = LEDGER.save(folder, part, [*others, *rows])
    (folder / "train.md").write_text(report(saved))
