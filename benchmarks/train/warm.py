"""A night that starts from the model of the night before, next to one that starts from scratch.

The newest slice of a data set is held out, as a trial holds it out; the lists are asked for it. Of the rest,
"yesterday" is what came before the last SHARE_OF_TODAY of the behaviours. A model is trained on yesterday from scratch.
Then today's model is trained twice: from scratch, and from yesterday's model with few passes.
"""

from __future__ import annotations

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

SHARE_OF_TODAY = 0.02
WARM_EPOCHS = (1, 2, 4)
SEED = 0
SCRATCH = "from scratch"


def train(file: Path, threads: int) -> list[Row]:
    """Train all models in this process and return their rows. Raises ValueError if nothing can be held out."""
    import numpy as np

    from recsys_spark.worker.threads import limit_threads

    limit_threads(threads)
    from recsys_spark.config.model import Model
    from recsys_spark.model.kernels.histories import kept
    from recsys_spark.model.kernels.recommender import Recommender
    from recsys_spark.training.kernels.asked import Asked
    from recsys_spark.training.kernels.asked import measure as measured
    from recsys_spark.training.kernels.fit import fit
    from recsys_spark.training.kernels.held_out import hold_out

    data, settings = read(file), Model()
    held = hold_out(data.histories, len(data.catalogue.ids), data.predict_repeats, np.random.default_rng(SEED))
    if held is None:
        raise ValueError(f"{file.name}: too few users can be asked for what they did last")
    today = data.before(held.train, held.moment)
    evening = float(np.quantile(today.histories.times, 1.0 - SHARE_OF_TODAY))
    before = kept(today.histories, today.histories.times < evening)
    yesterday = today.before(before.take(np.flatnonzero(before.lengths > 0)), evening)
    earlier = fit(yesterday, settings, seed=SEED)
    models = [("yesterday's as it was", 0, earlier), (SCRATCH, settings.epochs, fit(today, settings, seed=SEED))]
    for n in WARM_EPOCHS:
        warm = settings.model_copy(update={"warm_epochs": n})
        models.append(("from yesterday's", n, fit(today, warm, seed=SEED, earlier=earlier)))
    n_today, n_yesterday = len(today.histories.items), len(yesterday.histories.items)
    rows, per_user = [], []
    for start, epochs, model in models:
        # What its trial chose is in the model.
        found, ndcg = measured(Asked(held, Recommender(model), today.catalogue), 1.0, model.facts.choices.w_cos)
        row: Row = {"start": start, "epochs": epochs, "threads": threads, "behaviours": n_today}
        row |= {"new_behaviours": n_today - n_yesterday, "asked": len(ndcg)}
        row |= {"seconds": model.facts.seconds if epochs else 0.0, "recall": found.recall, "ndcg": found.ndcg}
        rows.append(row)
        per_user.append(ndcg)
    scratch = per_user[[row["start"] for row in rows].index(SCRATCH)]
    for row, ndcg in zip(rows, per_user, strict=True):
        if row["start"] != SCRATCH:
            difference = ndcg - scratch
            error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
            row |= {"difference": float(difference.mean()), "error": error}
    return rows


def rows_of(data: Data, name: str, plan: TrainPlan) -> list[Row]:
    """Return a row for each start."""
    with written(data) as file, own_process(plan.cores) as process:
        rows: list[Row] = run_in(process, train, file, plan.cores)
    for row in rows:
        say(f"{name}: {row['start']}, {row['epochs']} passes: ndcg {row['ndcg']:.4f} in {row['seconds']:.0f} s")
    return rows


def measure(plan: TrainPlan) -> Iterator[list[Row]]:
    """A row for each data set and start."""
    return each_dataset(plan, (BEAUTY, MOVIELENS), rows_of)


def gain(row: Row) -> str:
    """Return the difference with its standard error, nothing of what it is measured against."""
    return f"{row['difference']:+.4f} ± {row['error']:.4f}" if "error" in row else ""


PART = Part(
    "warm",
    "from the model of the night before, next to from scratch",
    measure,
    Section(
        "From the model of the night before",
        {
            "data": shown("dataset"),
            "behaviours": shown("behaviours", ","),
            "of them new": shown("new_behaviours", ","),
            "start": shown("start"),
            "passes": lambda row: row["epochs"] or "",
            "seconds": lambda row: f"{row['seconds']:.0f}" if row["epochs"] else "",
            "recall@10": shown("recall", ".4f"),
            "ndcg@10": shown("ndcg", ".4f"),
            "ndcg over scratch, and its standard error": gain,
        },
        "The newest slice is held out, and the lists are asked for it. New is the newest fiftieth of the rest, which "
        "yesterday's model has not seen. From scratch with a trial, from yesterday's model without one.",
    ),
)
