"""How the time of an epoch grows with users over one catalogue: a quarter, a half and all of them, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.quality.split import hashes
from benchmarks.train.data import each_dataset, read, written
from benchmarks.train.plan import BEAUTY, TrainPlan

if TYPE_CHECKING:
    from recsys_spark.model.kernels.histories import Histories
    from recsys_spark.training.kernels.data import Data

SHARES = (0.25, 0.5, 1.0)


def some_users(histories: Histories, share: float) -> Histories:
    """Return users with the smallest hashes of their ids, so that a smaller share is part of a larger one."""
    import numpy as np

    n = max(1, round(share * histories.n_users))
    smallest = np.argsort(hashes(f"growth\0{user}" for user in histories.user_ids), kind="stable")[:n]
    return histories.take(np.sort(smallest))


def train(file: Path, share: float, threads: int, epochs: int) -> Row:
    """Return, of a fresh process, the size and the seconds of each epoch after the first, which compiles."""
    from recsys_spark.worker.threads import limit_threads

    limit_threads(threads)
    from recsys_spark.config.model import Model
    from recsys_spark.training.kernels.fit import fit

    data = read(file)
    histories = some_users(data.histories, share)
    facts = fit(replace(data, histories=histories), Model(epochs=epochs, trial_epochs=0), seed=0).facts
    return {
        "share": share,
        "users": histories.n_users,
        "behaviours": len(histories.items),
        "items": len(data.catalogue.ids),
        "warm_items": len(facts.warm_item_ids),
        "threads": threads,
        "epochs": [entry.seconds for entry in facts.losses[1:]],
    }


def rows_of(data: Data, name: str, plan: TrainPlan) -> list[Row]:
    """Return a row for each of SHARES; seconds are the median over all epochs of all rounds."""
    found: dict[float, list[Row]] = {share: [] for share in SHARES}
    with written(data) as file, own_process(plan.cores) as process:
        for _ in range(plan.rounds):
            for share in SHARES:
                found[share].append(run_in(process, train, file, share, plan.cores, plan.epochs))
                say(f"{name}: {share:.0%} of users: {median(found[share][-1]['epochs']):.1f} s an epoch")
    rows = []
    for runs in found.values():
        spent = [seconds for run in runs for seconds in run["epochs"]]
        seconds = median(spent)
        per_100k = seconds / runs[0]["behaviours"] * 1e5
        rows.append({**runs[0], "epochs": spent, "seconds": seconds, "seconds_per_100k": per_100k})
    return rows


def measure(plan: TrainPlan) -> Iterator[list[Row]]:
    """A row for each data set and share."""
    return each_dataset(plan, (BEAUTY,), rows_of)


PART = Part(
    "growth",
    "epochs of a quarter, a half and all users",
    measure,
    Section(
        "Growth with users",
        {
            "data": shown("dataset"),
            "users": lambda row: f"{row['users']:,} ({row['share']:.0%})",
            "behaviours": shown("behaviours", ","),
            "items chosen by them": shown("warm_items", ","),
            "threads": shown("threads"),
            "seconds an epoch": shown("seconds", ".2f"),
            "seconds per 100,000 behaviours": shown("seconds_per_100k", ".2f"),
        },
        "Users by the hash of their id, over one catalogue. The softmax is over the items that these users chose.",
    ),
)
