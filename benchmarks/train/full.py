"""The whole default training of a data set, trial and final run, in a fresh process: seconds and peak memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.train.data import each_dataset, read, written
from benchmarks.train.plan import BEAUTY, MOVIELENS, TrainPlan

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data


def train(name: str, file: Path, threads: int) -> Row:
    """Train in this process and return the row; what is loaded before counts in memory, not in time."""
    from recsys_spark.worker.threads import limit_threads

    limit_threads(threads)
    from benchmarks.common.memory import peak, resident
    from recsys_spark.config.model import Model
    from recsys_spark.training.kernels.fit import fit

    data = read(file)
    before, started = resident(), time.perf_counter()
    facts = fit(data, Model(), seed=0, on_epoch=lambda entry: say(f"  {name}: {entry.line()}")).facts
    return {
        "users": data.histories.n_users,
        "behaviours": len(data.histories.items),
        "items": len(data.catalogue.ids),
        "threads": threads,
        "trial_epochs": len(facts.trial),
        "epochs": len(facts.losses),
        "seconds": time.perf_counter() - started,
        "epoch_seconds": sum(entry.seconds for entry in [*(one.loss for one in facts.trial), *facts.losses]),
        "loss": facts.losses[-1].loss,
        "before_bytes": before,
        "peak_bytes": peak(),
    }


def rows_of(data: Data, name: str, plan: TrainPlan) -> list[Row]:
    """Return one row."""
    with written(data) as file, own_process(plan.cores) as process:
        row = run_in(process, train, name, file, plan.cores)
    say(f"{name}: {row['seconds']:.0f} s, at most {row['peak_bytes'] / 1e9:.2f} GB")
    return [row]


def measure(plan: TrainPlan) -> Iterator[list[Row]]:
    """A row for each data set."""
    return each_dataset(plan, (BEAUTY, MOVIELENS), rows_of)


PART = Part(
    "full",
    "the whole training, trial and final run",
    measure,
    Section(
        "The whole training",
        {
            "data": shown("dataset"),
            "users": shown("users", ","),
            "behaviours": shown("behaviours", ","),
            "items": shown("items", ","),
            "threads": shown("threads"),
            "epochs of trial and final run": lambda row: f"{row['trial_epochs']} + {row['epochs']}",
            "minutes": shown("seconds", ".1f", 60),
            "peak GB": shown("peak_bytes", ".2f", 1e9),
        },
        "Trial and final run with the default settings in a fresh process. "
        "Time begins once the data are read; memory is all that the process held.",
    ),
)
