"""The showcase of the demo: what three customers did and get, and the metrics, collected from the tables of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark.evaluation.backtest import OURS
from recsys_spark.evaluation.kernels.metrics import METRICS
from recsys_spark.shop.people import COLD, RICH, UNKNOWN

SHOWCASE = {RICH: "a regular customer", COLD: "a customer without a history", UNKNOWN: "an unknown customer"}


class Event(TypedDict):
    """One thing that a customer did."""

    title: str
    behaviour: str
    days_ago: float


class ListedItem(TypedDict):
    """One line of a list."""

    rank: int
    title: str
    score: float
    cosine: float
    log_prob: float
    reasons: list[str]


class Person(TypedDict):
    """One customer of the showcase."""

    user_id: str
    about: str
    source: str | None
    """How the user was served; None where the user got no list."""
    tags: list[str]
    friends: list[str]
    n_behaviours: int
    """Number of all behaviours, of which ``history`` holds the newest."""
    history: list[Event]
    recommendations: list[ListedItem]


class Metric(TypedDict):
    """One row of the metrics table."""

    model: str
    segment: str
    metric: str
    k: int
    value: float
    ci_low: float | None
    ci_high: float | None
    n_users: int


def people_of(
    tables: Mapping[str, DataFrame],
    showcase: Mapping[str, str],
    *,
    as_of: datetime,
    n_history: int = 6,
    n_items: int = 5,
) -> list[Person]:
    """Return what each customer of the showcase did and gets. ``showcase``: user id -> who that is, in words.

    Reads ``user_profiles``, ``item_profiles`` and ``recommendations``. A customer without a profile has no behaviours,
    tags or friends.
    """
    ids = list(showcase)
    profiles = {
        row.user_id: row
        for row in tables["user_profiles"]
        .where(F.col("user_id").isin(ids))
        .select(
            "user_id", "interest_tags", "neighbours", "n_behaviours", F.slice("history", 1, n_history).alias("history")
        )
        .collect()
    }
    lists: dict[str, list[Row]] = {user: [] for user in ids}
    recommended = tables["recommendations"].where(F.col("user_id").isin(ids) & (F.col("rank") <= n_items))
    for row in sorted(recommended.collect(), key=lambda row: int(row["rank"])):
        lists[row.user_id].append(row)
    done = [event.item_id for row in profiles.values() for event in row.history or []]
    titles = _titles(tables["item_profiles"], [*done, *(row.item_id for rows in lists.values() for row in rows)])
    return [_person(user, showcase[user], profiles.get(user), lists[user], titles=titles, as_of=as_of) for user in ids]


def _titles(item_profiles: DataFrame, item_ids: Iterable[str]) -> dict[str, str]:
    wanted = item_profiles.where(F.col("item_id").isin(sorted(set(item_ids)))).select("item_id", "title")
    return {row.item_id: row.title for row in wanted.collect()}


def _person(
    user: str, about: str, profile: Row | None, rows: list[Row], *, titles: Mapping[str, str], as_of: datetime
) -> Person:
    def title(item_id: str) -> str:
        return titles.get(item_id, item_id)

    history, tags, neighbours = (
        ([*(profile[name] or [])] if profile else []) for name in ("history", "interest_tags", "neighbours")
    )
    return Person(
        user_id=user,
        about=about,
        source=rows[0].source if rows else None,
        tags=[tag.tag for tag in tags if tag.origin == "given"],
        friends=[neighbour.user_id for neighbour in neighbours],
        n_behaviours=int(profile.n_behaviours or 0) if profile else 0,
        history=[Event(title=title(e.item_id), behaviour=e.behaviour, days_ago=_days(as_of, e.ts)) for e in history],
        recommendations=[
            ListedItem(
                rank=row["rank"],
                title=title(row.item_id),
                score=row.score,
                cosine=row.cosine,
                log_prob=row.log_prob,
                reasons=[*(row.reasons or [])],
            )
            for row in rows
        ],
    )


def _days(as_of: datetime, ts: datetime) -> float:
    # Collected timestamps are naive and in the driver's own time zone.
    return (as_of - ts.astimezone(UTC)).total_seconds() / 86_400


def metrics_of(metrics: DataFrame, *, k: int) -> list[Metric]:
    """Return the metrics that the demo shows, at cut-off ``k``: those of the trained model first, then the
    baselines."""
    shown = [name for name, metric in METRICS.items() if metric.in_demo]
    wanted = metrics.where((F.col("k") == k) & F.col("metric").isin(shown))
    rows: list[dict[str, Any]] = [row.asDict() for row in wanted.collect()]
    rows.sort(key=lambda row: (row["model"] != OURS, row["model"], shown.index(row["metric"])))
    return [Metric(**{name: row[name] for name in Metric.__annotations__}) for row in rows]  # type: ignore[typeddict-item]
