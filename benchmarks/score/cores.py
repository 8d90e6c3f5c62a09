"""What a second core brings: the same stage under local[1] and local[2], each in its own process, in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.common.ledger import Row
from benchmarks.common.processes import costs_by_cores
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown, size
from benchmarks.score.rows import ScorePlan, cost_rows
from benchmarks.score.runs import Case, run_stage, write_vectors


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """Wall time and CPU with one core and with all."""
    n_users, n_items = (500, 1_000) if plan.tiny else (20_000, 100_000)
    case = Case(n_users, n_items)
    with tempfile.TemporaryDirectory() as folder:
        path = write_vectors(Path(folder), case)
        say(f"cores: {case.size} with 1 core and {plan.cores} in turn")
        costs = costs_by_cores(
            plan.cores,
            lambda some: partial(run_stage, path, Case(n_users, n_items, some)),
            repeats=plan.times(3),
            warm_up=plan.times(2),
        )
    rows = cost_rows("Spark stage by cores", n_users, n_items, case.n, costs)
    for row in rows:
        say(f"cores: {row['method']}: {row['wall_s']:.2f} s, {row['cpu_s']:.2f} CPU s")
    yield rows


def compared(mine: list[Row], _: Sequence[Row]) -> list[Row]:
    """Return ``mine`` with how many times as fast each row is as the first, which has one core."""
    return [{**row, "times_as_fast": mine[0]["wall_s"] / row["wall_s"]} for row in mine]


PART = Part(
    "cores",
    "one core and several",
    measure,
    Section(
        "Cores",
        {
            "users x items": size,
            "master": shown("method"),
            "wall s": shown("wall_s", ".2f"),
            "times as fast": shown("times_as_fast", ".2f"),
            "CPU s": shown("cpu_s", ".2f"),
            "runs": shown("repeats"),
        },
        prepared=compared,
    ),
)
