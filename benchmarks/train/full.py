"""The whole default training of a data set, trial and final run, in a fresh process: seconds on the wall and peak memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row, say
from benchmarks.common.processes import own_process, run_in
from benchmarks.train.data import read, written
from benchmarks.train.results import Plan

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data

TARGET_CORES = 2
TARGET_MINUTES = {"amazon-beauty": 12.0, "ml-latest-small": 4.0}
"""At most, on TARGET_CORES"""


def train(name: str, file: Path, threads: int) -> Row:
    """In a process of its own; what it loads before it trains counts in memory, not in time."""
    from recsys_spark.worker.process import limit_threads

    limit_threads(threads)
    from benchmarks.train.memory import peak, resident
    from recsys_spark.config.sections import Model
    from recsys_spark.training.kernels.fit import fit

    data = read(file)
    before, started = resident(), time.perf_counter()
    facts = fit(data, Model(), seed=0, on_epoch=lambda entry: say(f"  {name}: {entry.line()}")).facts
    return {
        "users": data.histories.n_users,
        "behaviours": len(data.histories.items),
        "items": len(data.catalogue.ids),
        "threads": threads,
        "trial_epochs": len(facts["trial"]),
        "epochs": len(facts["losses"]),
        "seconds": time.perf_counter() - started,
        "epoch_seconds": sum(entry["seconds"] for run in ("trial", "losses") for entry in facts[run]),
        "loss": facts["losses"][-1]["loss"],
        "before_bytes": before,
        "peak_bytes": peak(),
    }


def measure(name: str, data: Data, plan: Plan) -> list[Row]:
    """One row."""
    with written(data) as file, own_process(plan.cores) as process:
        row = run_in(process, train, name, file, plan.cores)
    target = TARGET_MINUTES.get(name) if plan.cores == TARGET_CORES else None
    say(f"{name}: {row['seconds']:.0f} s, at most {row['peak_bytes'] / 1e9:.2f} GB")
    return [{**row, "target_minutes": target}]
