"""What a command costs that has nothing to do: help, a wrong key, and a pipeline that is done."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from statistics import median

from benchmarks.common.commands import CommandFailed, command_cost
from benchmarks.common.costs import Cost
from benchmarks.common.ledger import Row
from benchmarks.common.suite import Part, Plan, say
from benchmarks.common.tables import Section, shown
from benchmarks.platform.example import job

MAIN = "import sys; from recsys_spark.cli import main; sys.exit({})"


def _command(*words: str, status: int = 0) -> list[str]:
    """Return a command that ends with 0 where the job ends with ``status``."""
    return [sys.executable, "-c", MAIN.format(f"main() != {status}"), *words]


def commands(done: list[str]) -> dict[str, list[str]]:
    """Return what is measured; ``done`` is a pipeline that has run before."""
    start = next(n for n, word in enumerate(done) if word == "--config")
    return {
        "`recsys-spark --help`": _command("--help"),
        "`recsys-spark pipeline --help`": _command("pipeline", "--help"),
        "`pipeline` with a wrong key": _command("pipeline", *done[start:], "--set", "run.topn=5", status=2),
        "`rerank`, done before": _command("rerank", *done[start:]),
        "`pipeline`, done before": done,
    }


def measure(plan: Plan) -> Iterator[list[Row]]:
    """Run the example once, then each command in turn."""
    with tempfile.TemporaryDirectory() as folder:
        done = job(f"{folder}/store", {})
        command_cost(done)
        costs: dict[str, list[Cost]] = {}
        for _ in range(plan.times(3)):
            for name, command in commands(done).items():
                try:
                    costs.setdefault(name, []).append(command_cost(command))
                except CommandFailed as error:
                    say(f"{name}: {error}")
                    raise
                say(f"{name}: {costs[name][-1].wall:.2f} s")
        yield [
            {
                "command": name,
                "repeats": len(found),
                "wall_s": median(one.wall for one in found),
                "cpu_s": median(one.cpu for one in found),
            }
            for name, found in costs.items()
        ]


PART = Part(
    "nothing",
    "commands that have nothing to do",
    measure,
    Section(
        "Commands that have nothing to do",
        {"command": shown("command"), "seconds": shown("wall_s", ".2f"), "CPU-seconds": shown("cpu_s", ".2f")},
        "Starting Spark alone takes most of the time of the last two.",
    ),
)
