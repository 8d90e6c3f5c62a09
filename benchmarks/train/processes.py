"""Training in one process and in two on the same cores: rounds alternate, each case in fresh processes.

Only the epochs are timed: what comes before them (links, popularity) is done once.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.train.data import each_dataset, read, written
from benchmarks.train.plan import BEAUTY, TrainPlan

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data

CASES = ((1, 1), (1, 2), (2, 1))
"""Processes, and threads of each"""


def train(rank: int, processes: int, threads: int, address: str, file: Path, epochs: int) -> tuple[float, float]:
    """Train as one process of a case; return the seconds of an epoch, and the loss of the last."""
    from recsys_spark.worker.threads import limit_threads

    limit_threads(threads)
    import numpy as np

    from recsys_spark.config.model import Model
    from recsys_spark.training.kernels.fit import fit
    from recsys_spark.worker.process_group import ALONE, joined

    data = read(file)
    data = replace(data, histories=data.histories.take(np.arange(data.histories.n_users)[rank::processes]))
    with joined(address, rank, processes) if processes > 1 else nullcontext(ALONE) as group:
        losses = fit(data, Model(epochs=epochs, trial_epochs=0), seed=0, group=group).facts.losses
    # The first epoch compiles.
    return sum(entry.seconds for entry in losses[1:]) / (epochs - 1), losses[-1].loss


def run_case(processes: int, threads: int, file: Path, epochs: int) -> tuple[float, float]:
    """Run a case and return what the first of its processes found."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with ExitStack() as stack:
        started = [stack.enter_context(own_process(threads)) for _ in range(processes)]
        found = [
            process.submit(train, rank, processes, threads, address, file, epochs)
            for rank, process in enumerate(started)
        ]
        first, *_ = [one.result() for one in found]
    return first


def rows_of(data: Data, name: str, plan: TrainPlan, cases: Sequence[tuple[int, int]] = CASES) -> list[Row]:
    """Return a row for each of the ``cases``; `speed` is times the first."""
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    losses: dict[tuple[int, int], float] = {}
    with written(data) as file:
        for _ in range(plan.rounds):
            for case in cases:
                spent, losses[case] = run_case(*case, file, plan.epochs)
                seconds[case].append(spent)
                say(f"{name}: {case[0]} x {case[1]} threads: {spent:.1f} s an epoch")
    alone = median(seconds[cases[0]])
    return [
        {
            "processes": case[0],
            "threads": case[1],
            "seconds": median(spent),
            "speed": alone / median(spent),
            "loss": losses[case],
            "rounds": len(spent),
        }
        for case, spent in seconds.items()
    ]


def measure(plan: TrainPlan) -> Iterator[list[Row]]:
    """A row for each data set and case."""
    return each_dataset(plan, (BEAUTY,), rows_of)


PART = Part(
    "processes",
    "one process and two on the same cores",
    measure,
    Section(
        "Several processes on the same cores",
        {
            "data": shown("dataset"),
            "processes": shown("processes"),
            "threads of each": shown("threads"),
            "seconds an epoch": shown("seconds", ".1f"),
            "times one process of one thread": shown("speed", ".2f"),
            "last loss": shown("loss", ".3f"),
            "rounds": shown("rounds"),
        },
    ),
)
