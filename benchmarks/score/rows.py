"""The rows of the scoring benchmark, the columns that several tables share, and how much is measured."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.common.costs import Cost, cost_facts
from benchmarks.common.ledger import Row, of
from benchmarks.common.suite import Plan
from benchmarks.common.tables import Columns, shown, size

OURS = "recsys-spark"
SIZES = [(20_000, 20_000), (50_000, 100_000)]
TINY_SIZES = [(200, 2_000)]


@dataclass(frozen=True)
class ScorePlan(Plan):
    """``quick``: kernel and stage at one size, with few repeats."""

    quick: bool = False

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Users and items of kernel and stage."""
        return TINY_SIZES if self.tiny else SIZES[:1] if self.quick else SIZES


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone understands."""
    parser.add_argument("--quick", action="store_true", help="kernel and stage at one size, with few repeats")


def plan_of(_: argparse.ArgumentParser, arguments: argparse.Namespace) -> ScorePlan:
    """Return the plan of the command line."""
    return ScorePlan(arguments.cores, arguments.tiny, arguments.quick)


def lead(_: Sequence[Row]) -> str:
    """Return what holds for all tables."""
    return "Width 64 per term; CPU-seconds are those of all processes, medians of alternating runs."


def cost_rows(
    what: str, n_users: int, n_items: int, n: int, costs: Mapping[str, list[Cost]], **more: object
) -> list[Row]:
    """Return one row per method: the medians of its runs. ``more`` goes into each row.

    >>> cost_rows("x", 1_000, 2_000, 10, {"m": [Cost(4.0, 3.0)]})[0]["ns_per_pair"]
    2000.0
    """
    rows = []
    for method, taken in costs.items():
        facts = cost_facts(method, taken)
        per_pair = facts["cpu_s"] / n_users / n_items * 1e9
        size_of = {"what": what, "users": n_users, "items": n_items, "n": n}
        rows.append({**size_of, **facts, "ns_per_pair": per_pair, **more})
    return rows


COSTS: Columns = {
    "what": shown("what"),
    "users x items": size,
    "N": shown("n"),
    "method": shown("method"),
    "ns per pair": shown("ns_per_pair", ".2f"),
    "over sgemm": shown("over_sgemm", ".2f"),
    "CPU s": shown("cpu_s", ".2f"),
    "wall s": shown("wall_s", ".2f"),
    "runs": shown("repeats"),
}


def over_sgemm(mine: list[Row], rows: Sequence[Row]) -> list[Row]:
    """Return ``mine`` with each row's time per pair over sgemm's on as many items, if sgemm was measured."""
    sgemm = {(r["items"], r["n"]): r["ns_per_pair"] for r in of(rows, "kernel") if r["method"] == "sgemm"}
    limits = [sgemm.get((row["items"], row["n"])) for row in mine]
    return [
        {**row, "over_sgemm": row["ns_per_pair"] / limit if limit else None}
        for row, limit in zip(mine, limits, strict=True)
    ]
