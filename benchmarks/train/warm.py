"""A night that starts from the model of the night before, beside one that starts from scratch: seconds, and what is found of behaviours to come.

The newest slice of a data set is held out, as a trial holds it out. Of the rest, "yesterday" is what came before the last SHARE_OF_TODAY of the
behaviours. A model is trained on yesterday from scratch; then today's, from scratch, and from yesterday's with few passes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row, say
from benchmarks.common.processes import own_process, run_in
from benchmarks.train.data import read, written
from benchmarks.train.results import Plan

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data

SHARE_OF_TODAY = 0.02
WARM_EPOCHS = (1, 2, 4)
SEED = 0
SCRATCH = "from scratch"


def train(file: Path, threads: int) -> list[Row]:
    """In a process of its own. Raises ValueError where nothing can be held out."""
    import numpy as np

    from recsys_spark.worker.process import limit_threads

    limit_threads(threads)
    from recsys_spark.config.sections import Model
    from recsys_spark.model.kernels.histories import kept
    from recsys_spark.model.kernels.recommender import Recommender
    from recsys_spark.training.kernels.fit import fit
    from recsys_spark.training.kernels.held_out import Asked, hold_out
    from recsys_spark.training.kernels.held_out import measure as measured

    data, settings = read(file), Model()
    held = hold_out(data.histories, len(data.catalogue.ids), data.predict_repeats, np.random.default_rng(SEED))
    if held is None:
        raise ValueError(f"{file.name}: too few users can be asked for what they did last")
    today = data.before(held.train, held.moment)
    evening = float(np.quantile(today.histories.times, 1.0 - SHARE_OF_TODAY))
    before = kept(today.histories, today.histories.times < evening)
    yesterday = today.before(before.take(np.flatnonzero(before.lengths > 0)), evening)
    rows, per_user = [], []
    earlier = fit(yesterday, settings, seed=SEED)
    models = [("yesterday's as it was", 0, earlier), (SCRATCH, settings.epochs, fit(today, settings, seed=SEED))]
    for n in WARM_EPOCHS:
        warm = settings.model_copy(update={"warm_epochs": n})
        models.append(("from yesterday's", n, fit(today, warm, seed=SEED, earlier=earlier)))
    for start, epochs, model in models:
        asked = Asked(held, Recommender(model), today.catalogue)
        # What its trial chose is in the model.
        found, ndcg = measured(asked, 1.0, model.facts["w_cos"])
        rows.append(
            {
                "start": start, "epochs": epochs, "threads": threads, "behaviours": len(today.histories.items),
                "new_behaviours": len(today.histories.items) - len(yesterday.histories.items), "asked": len(ndcg),
                "seconds": model.facts["seconds"] if epochs else 0.0, "recall": found.recall, "ndcg": found.ndcg,
            }
        )  # fmt: skip
        per_user.append(ndcg)
    scratch = per_user[[row["start"] for row in rows].index(SCRATCH)]
    for row, ndcg in zip(rows, per_user, strict=True):
        if row["start"] != SCRATCH:
            difference = ndcg - scratch
            error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
            row |= {"difference": float(difference.mean()), "error": error}
    return rows


def measure(name: str, data: Data, plan: Plan) -> list[Row]:
    """A row for each start."""
    with written(data) as file, own_process(plan.cores) as process:
        rows: list[Row] = run_in(process, train, file, plan.cores)
    for row in rows:
        say(f"{name}: {row['start']}, {row['epochs']} passes: ndcg {row['ndcg']:.4f} in {row['seconds']:.0f} s")
    return rows
