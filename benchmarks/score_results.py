"""Where rows of the scoring benchmark are kept: one JSON, of which a part replaces its own rows and no others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost, machine, median_cpu, median_wall

RESULTS = Path(__file__).parent / "results"
TINY_RESULTS = Path("build") / "score-tiny"
"""A try-out must not overwrite figures."""
PARTS = ("kernel", "stage", "joins", "growth", "cores", "memory", "broadcast")
Row = dict[str, Any]


def part_of(row: Row) -> str:
    """The part that a row belongs to; rows written before there were parts say it by their title."""
    return str(row.get("part") or ("kernel" if row["what"].startswith("kernel") else "stage"))


def merged(old: Sequence[Row], part: str, new: Sequence[Row]) -> list[Row]:
    """``old`` with the rows of ``part`` replaced by ``new``, in the order of PARTS.

    >>> old = [{"part": "stage", "users": 1}, {"part": "kernel", "users": 1}]
    >>> merged(old, "stage", [{"users": 2}])
    [{'part': 'kernel', 'users': 1}, {'part': 'stage', 'users': 2}]
    """
    others = [{"part": part_of(row), **row} for row in old if part_of(row) != part]
    return sorted([*others, *({"part": part, **row} for row in new)], key=lambda row: PARTS.index(row["part"]))


def load(folder: Path) -> list[Row]:
    """The rows of ``folder``'s score.json, each with the machine it was measured on; none where there is no file."""
    path = folder / "score.json"
    if not path.exists():
        return []
    document = json.loads(path.read_text())
    return [{"machine": document.get("machine", "an unknown machine"), **row} for row in document["rows"]]


def save(folder: Path, part: str, new: Sequence[Row]) -> list[Row]:
    """Replace the rows of ``part`` in ``folder``'s score.json; all rows there are now."""
    here = machine()
    rows = merged(load(folder), part, [{"machine": here, **row} for row in new])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "score.json").write_text(json.dumps({"machine": here, "rows": rows}, indent=1) + "\n")
    return rows


def cost_rows(
    what: str, n_users: int, n_items: int, n: int, costs: Mapping[str, list[Cost]], **more: object
) -> list[Row]:
    """One row per method: the medians of its runs. ``more`` goes into each row."""
    return [
        {
            "what": what, "users": n_users, "items": n_items, "n": n, "method": method, "repeats": len(taken),
            "cpu_s": median_cpu(taken), "wall_s": median_wall(taken),
            "ns_per_pair": median_cpu(taken) / n_users / n_items * 1e9, **more,
        }
        for method, taken in costs.items()
    ]  # fmt: skip


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments that every part understands."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--tiny", action="store_true", help=f"sizes that only show that it runs; writes {TINY_RESULTS}")
    made.add_argument("--cores", type=int, default=2)
    made.add_argument("--results", type=Path, help=f"folder of score.json, .md and .png; by default {RESULTS.name}")
    return made


def folder_of(arguments: argparse.Namespace) -> Path:
    """Where results go."""
    return arguments.results or (TINY_RESULTS if arguments.tiny else RESULTS)


def run_part(part: str, measure: Callable[..., list[Row]], description: str | None) -> None:
    """The command line of one part: ``measure(tiny=, cores=)``, then its rows and the report are written."""
    from benchmarks.score_report import write_results

    arguments = parser(description).parse_args()
    folder = folder_of(arguments)
    rows = measure(tiny=arguments.tiny, cores=arguments.cores)
    write_results(folder, save(folder, part, rows))
    say(f"wrote {len(rows)} rows of {part} to {folder}")


def say(line: str) -> None:
    """What goes on, at once."""
    print(line, flush=True)
