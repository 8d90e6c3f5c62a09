"""publish: the gates that must hold before a partition becomes visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Publish
from recsys_spark.errors import PublishRefused


@dataclass(frozen=True)
class ListFacts:
    """What the gates look at."""

    n_users: int
    n_lists: int
    """Users with at least one item."""
    n_full: int
    """Users whose list has as many items as they may get."""
    n_bad_scores: int
    """Rows whose score is null or not a finite number."""


def list_facts(
    recommendations: DataFrame, users: DataFrame, exclusions: DataFrame, *, top_n: int, n_available: int
) -> DataFrame:
    """One row of ListFacts over ``users`` (user_id), those without a list too: a list is full with `min(top_n, available items - exclusions of the user)` rows.

    The exclusions of a user may name unavailable items, so the bound is a lower one and never refuses a right list.
    """
    excluded = exclusions.groupBy("user_id").agg(F.count(F.lit(1)).alias("n_excluded"))
    finite = F.col("score").isNotNull() & ~F.isnan("score") & (F.abs("score") != F.lit(float("inf")))
    lists = recommendations.groupBy("user_id").agg(
        F.count(F.lit(1)).alias("n"), F.count(F.when(~finite, F.lit(1))).alias("bad")
    )
    left = F.lit(n_available) - F.coalesce("n_excluded", F.lit(0))
    full = F.coalesce("n", F.lit(0)) >= F.least(F.lit(top_n), left)
    return (
        users.join(lists, "user_id", "left")
        .join(excluded, "user_id", "left")
        .agg(
            F.count("n").alias("n_lists"),
            F.count(F.lit(1)).alias("n_users"),
            F.count(F.when(full, F.lit(1))).alias("n_full"),
            F.coalesce(F.sum("bad"), F.lit(0)).alias("n_bad_scores"),
        )
    )


def check_gates(
    gates: Publish, facts: ListFacts, metrics: Mapping[str, float], *, n_rejected: int, n_input: int
) -> list[str]:
    """Return the gates that hold, in words; raise PublishRefused naming those that do not.

    ``metrics`` are those of our model over all users, named `ndcg@10`.
    """
    full_share = facts.n_full / max(facts.n_users, 1)
    rejected_share = n_rejected / max(n_input, 1)
    checks: list[tuple[str, float, str, float, bool]] = [
        ("publish.min_users", facts.n_lists, ">=", gates.min_users, facts.n_lists >= gates.min_users),
        ("publish.min_full_share", full_share, ">=", gates.min_full_share, full_share >= gates.min_full_share),
        ("scores that are no number", facts.n_bad_scores, "<=", 0, facts.n_bad_scores == 0),
        (
            "publish.max_rejected_share",
            rejected_share,
            "<=",
            gates.max_rejected_share,
            rejected_share <= gates.max_rejected_share,
        ),
    ]
    for name, least in gates.min_metric.items():
        value = metrics.get(name, float("nan"))
        checks.append((f"publish.min_metric {name}", value, ">=", least, value >= least))
    failed = [(name, f"{value:.6g}", f"{sign} {bound:g}") for name, value, sign, bound, holds in checks if not holds]
    if failed:
        raise PublishRefused(
            "The partition was not published: " + _sentence(name for name, _, _ in failed),
            where=", ".join(name for name, _, _ in failed),
            found=", ".join(f"{name} = {value}" for name, value, _ in failed),
            expected=", ".join(f"{name} {bound}" for name, _, bound in failed),
            action="Look at STORE/reports and rejected_rows; mend the input, or change the gate, and run again.",
        )
    return [f"{name}: {value:.6g} {sign} {bound:g}" for name, value, sign, bound, _ in checks]


def _sentence(names: Iterable[str]) -> str:
    listed = list(names)
    return f"{', '.join(listed)} {'does' if len(listed) == 1 else 'do'} not hold"
