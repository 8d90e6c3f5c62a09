"""The one list of baselines, and their lists by the scorer of the pipeline."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame

from recsys_spark.config.sections import Score
from recsys_spark.evaluation.baselines import als, popularity
from recsys_spark.evaluation.baselines.baseline import Baseline, Known
from recsys_spark.scoring.score import build_candidates

BASELINES: dict[str, Baseline] = {baseline.name: baseline for baseline in (popularity.BASELINE, als.BASELINE)}
"""Name -> baseline, in the order of the report. `evaluate.baselines` has the same names, which a test compares."""
LOGITS_ONLY = Score(w_cos=0.0, w_ce=1.0)


def build_baseline_lists(names: Iterable[str], known: Known, exclusions: DataFrame, *, n: int) -> dict[str, DataFrame]:
    """Return name -> lists (user_id, rank, item_id ...) of each named baseline: ``n`` items for each user.

    No list has a pair of ``exclusions`` (user_id, item_id). A user who has no vector gets the popular list, as in a
    shop that runs that model.
    """
    users = known.users
    popular = build_candidates(*popularity.BASELINE.vectors(known), exclusions, LOGITS_ONLY, n=n)
    lists = {}
    for name in names:
        if name == popularity.BASELINE.name:
            lists[name] = popular
            continue
        user_vectors, item_vectors = BASELINES[name].vectors(known)
        served = user_vectors.join(users, "user_id", "left_semi")
        own = build_candidates(served, item_vectors, exclusions, LOGITS_ONLY, n=n)
        rest = popular.join(user_vectors.select("user_id"), "user_id", "left_anti")
        lists[name] = own if BASELINES[name].knows_everyone else own.unionByName(rest)
    return lists
