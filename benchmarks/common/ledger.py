"""Where the rows of a benchmark are kept: one JSON, of which a part replaces its own rows and no others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.measure import machine

RESULTS = Path(__file__).parents[1] / "results"
Row = dict[str, Any]
OWN, OTHER = "#1f6f8b", "#b0b0b0"
"""Colours of what is ours, and of the rest, in every chart."""


@dataclass(frozen=True)
class Ledger:
    """The rows of the benchmark ``name``, in the order of ``parts``."""

    name: str
    parts: tuple[str, ...]
    part_of: Callable[[Row], str] = lambda row: str(row["part"])

    @property
    def tiny_results(self) -> Path:
        """A try-out must not overwrite figures."""
        return Path("build") / f"{self.name}-tiny"

    def merged(self, old: Sequence[Row], part: str, new: Sequence[Row]) -> list[Row]:
        """``old`` with the rows of ``part`` replaced by ``new``, in the order of the parts.

        >>> old = [{"part": "stage", "n": 1}, {"part": "kernel", "n": 1}]
        >>> Ledger("x", ("kernel", "stage")).merged(old, "stage", [{"n": 2}])
        [{'part': 'kernel', 'n': 1}, {'part': 'stage', 'n': 2}]
        """
        others = [{"part": self.part_of(row), **row} for row in old if self.part_of(row) != part]
        return sorted([*others, *({"part": part, **row} for row in new)], key=lambda row: self.parts.index(row["part"]))

    def load(self, folder: Path) -> list[Row]:
        """The rows of ``folder``'s JSON, each with the machine it was measured on; none where there is no file."""
        path = folder / f"{self.name}.json"
        if not path.exists():
            return []
        document = json.loads(path.read_text())
        return [{"machine": document.get("machine", "an unknown machine"), **row} for row in document["rows"]]

    def save(self, folder: Path, part: str, new: Sequence[Row]) -> list[Row]:
        """Replace the rows of ``part`` in ``folder``'s JSON; all rows there are now."""
        here = machine()
        rows = self.merged(self.load(folder), part, [{"machine": here, **row} for row in new])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps({"machine": here, "rows": rows}, indent=1) + "\n")
        return rows

    def parser(self, description: str | None) -> argparse.ArgumentParser:
        """Arguments that every part understands."""
        made = argparse.ArgumentParser(description=description)
        made.add_argument(
            "--tiny", action="store_true", help=f"sizes that only show that it runs; writes {self.tiny_results}"
        )
        made.add_argument("--cores", type=int, default=2)
        made.add_argument(
            "--results", type=Path, help=f"folder of {self.name}.json, .md and .png; by default {RESULTS.name}"
        )
        return made

    def folder_of(self, arguments: argparse.Namespace) -> Path:
        """Where results go."""
        return arguments.results or (self.tiny_results if arguments.tiny else RESULTS)

    def measured_on(self, rows: Sequence[Row]) -> str:
        """The machine, or which parts were measured on which.

        >>> book = Ledger("x", ("kernel", "cores"))
        >>> book.measured_on([{"part": "kernel", "machine": "A"}, {"part": "cores", "machine": "A"}])
        'A'
        >>> book.measured_on([{"part": "kernel", "machine": "A"}, {"part": "cores", "machine": "B"}])
        'A (kernel); B (cores)'
        """
        parts: dict[str, list[str]] = {}
        for row in rows:
            known = parts.setdefault(row["machine"], [])
            if self.part_of(row) not in known:
                known.append(self.part_of(row))
        if len(parts) == 1:
            return next(iter(parts))
        return "; ".join(f"{machine} ({', '.join(some)})" for machine, some in parts.items())


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table.

    >>> table(["a", "b"], [[1, "x"]])
    ['| a | b |', '|---|---|', '| 1 | x |', '']
    """
    body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *body, ""]


def say(line: str) -> None:
    """What goes on, at once."""
    print(line, flush=True)
