"""The rows of a benchmark, kept in one JSON file: a part that is measured again replaces its own rows and no others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.machine import machine

RESULTS = Path(__file__).parents[1] / "results"
Row = dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """The rows of the benchmark ``name``, in the order of ``parts``."""

    name: str
    parts: tuple[str, ...]

    def merged(self, old: Sequence[Row], part: str, new: Sequence[Row], by: str | None = None) -> list[Row]:
        """``old`` with the rows of ``part`` replaced by ``new``, in the order of the parts.

        ``by``: a key of the rows. If it is given, old rows of the part stay where ``new`` has no row of the same value.

        >>> old = [{"part": "stage", "n": 1}, {"part": "kernel", "n": 1}]
        >>> Ledger("x", ("kernel", "stage")).merged(old, "stage", [{"n": 2}])
        [{'part': 'kernel', 'n': 1}, {'part': 'stage', 'n': 2}]
        >>> Ledger("x", ("stage",)).merged([{"part": "stage", "n": 1}], "stage", [{"n": 2}], by="n")
        [{'part': 'stage', 'n': 1}, {'part': 'stage', 'n': 2}]
        """
        measured = {row[by] for row in new} if by else set()
        others = [row for row in old if row["part"] != part or (by and row[by] not in measured)]
        return sorted([*others, *({"part": part, **row} for row in new)], key=lambda row: self.parts.index(row["part"]))

    def load(self, folder: Path) -> list[Row]:
        """Return the rows of ``folder``'s JSON file, none if there is no file."""
        path = folder / f"{self.name}.json"
        return list(json.loads(path.read_text())["rows"]) if path.exists() else []

    def save(self, folder: Path, part: str, new: Sequence[Row], by: str | None = None) -> list[Row]:
        """Replace rows as :meth:`merged` does and return all rows; each row names the machine it was measured on."""
        here = machine()
        rows = self.merged(self.load(folder), part, [{"machine": here, **row} for row in new], by)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps({"machine": here, "rows": rows}, indent=1) + "\n")
        return rows


def of(rows: Sequence[Row], *parts: str) -> list[Row]:
    """Return the rows of some parts.

    >>> of([{"part": "full"}, {"part": "items"}], "items")
    [{'part': 'items'}]
    """
    return [row for row in rows if row["part"] in parts]


def measured_on(rows: Sequence[Row]) -> str:
    """Return the machine, or each machine with the parts that were measured on it.

    >>> measured_on([{"part": "kernel", "machine": "A"}, {"part": "cores", "machine": "A"}])
    'A'
    >>> measured_on([{"part": "kernel", "machine": "A"}, {"part": "cores", "machine": "B"}])
    'A (kernel); B (cores)'
    """
    parts: dict[str, dict[str, None]] = {}
    for row in rows:
        parts.setdefault(row["machine"], {})[row["part"]] = None
    if len(parts) == 1:
        return next(iter(parts))
    return "; ".join(f"{machine} ({', '.join(some)})" for machine, some in parts.items())
