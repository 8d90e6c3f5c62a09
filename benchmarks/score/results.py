"""The rows of the scoring benchmark, and where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.common.ledger import Ledger, Row, say
from benchmarks.common.measure import Cost, median_cpu, median_wall

PARTS = ("kernel", "stage", "joins", "growth", "cores", "memory", "broadcast")


def part_of(row: Row) -> str:
    """The part that a row belongs to; rows written before there were parts say it by their title.

    >>> part_of({"what": "kernel, one thread"}), part_of({"part": "joins", "what": "Spark's joins"})
    ('kernel', 'joins')
    """
    return str(row.get("part") or ("kernel" if row["what"].startswith("kernel") else "stage"))


LEDGER = Ledger("score", PARTS, part_of)


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


def run_part(part: str, measure: Callable[..., list[Row]], description: str | None) -> None:
    """The command line of one part: ``measure(tiny=, cores=)``, then its rows and the report are written."""
    arguments = LEDGER.parser(description).parse_args()
    folder = LEDGER.folder_of(arguments)
    rows = measure(tiny=arguments.tiny, cores=arguments.cores)
    keep(folder, part, rows)
    say(f"wrote {len(rows)} rows of {part} to {folder}")


def keep(folder: Path, part: str, rows: Sequence[Row]) -> None:
    """Replace the rows of ``part`` and write the report anew."""
    from benchmarks.score.report import write_results

    write_results(folder, LEDGER.save(folder, part, rows))
