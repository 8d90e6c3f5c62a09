"""The demo: generate a shop, run the pipeline on it, and say what three users did and get."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.file import load_config
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError
from recsys_spark.shop.generate import END, generate_shop
from recsys_spark.shop.narration import Event, Metric, Person, Recommended, narrate
from recsys_spark.shop.people import COLD, RICH, UNKNOWN
from recsys_spark.spark.session import create_session

SHOWCASE = {RICH: "a regular", COLD: "cold by history", UNKNOWN: "unknown"}
_MARKER = "_GENERATED.json"
_SHOWN_METRICS = ("recall", "ndcg", "hit_rate", "coverage")


@dataclass(frozen=True)
class Outcome:
    """What a pipeline run left: ``user_profiles``, ``item_profiles``, ``recommendations``, ``metrics`` by name, the path, the weight of the cosine."""

    tables: Mapping[str, DataFrame]
    published: str
    w_cos: float


Runner = Callable[[SparkSession, Config, date], Outcome]


def run_demo(folder: Path, parameters: Mapping[str, int], runner: Runner) -> None:
    """Run the demo in a folder and print its end; ``runner`` runs the pipeline for a config and run date.

    ``parameters`` of the shop: ``n_users``, ``n_items``, ``n_behaviours``, ``seed``.
    """
    cfg = load_config(place_config(folder))
    spark = create_session(cfg.spark, "recsys-spark demo")
    started = time.monotonic()
    if ensure_shop(spark, folder / "shop", parameters):
        print(f"Generated a shop in {folder / 'shop'} ({time.monotonic() - started:.0f} s)", flush=True)
    outcome = runner(spark, cfg, END)
    as_of = datetime(END.year, END.month, END.day, tzinfo=UTC)
    people = gather_people(outcome.tables, SHOWCASE, as_of=as_of)
    metrics = gather_metrics(outcome.tables["metrics"], k=min(cfg.evaluate.k)) if "metrics" in outcome.tables else []
    print("\n" + narrate(people, metrics, outcome.published, w_cos=outcome.w_cos, w_ce=cfg.score.w_ce))


def place_config(folder: Path) -> Path:
    """Put the demo's configuration into the folder, so that its relative paths lie there; an edited one is kept."""
    target = folder / "demo.toml"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = resources.files("recsys_spark").joinpath("conf/demo.toml").read_text(encoding="utf-8")
        target.write_text(text, encoding="utf-8")
    return target


def ensure_shop(spark: SparkSession, folder: Path, parameters: Mapping[str, int]) -> bool:
    """Generate the shop unless it is there; return whether it was generated.

    Raises ConfigError where the folder holds a shop of other parameters: its store would mix two worlds.
    """
    marker = folder / _MARKER
    if marker.exists():
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found == dict(parameters):
            return False
        raise ConfigError(
            "The folder holds a shop of other parameters",
            where=str(folder),
            found=found,
            expected=dict(parameters),
            action=f"Pass another --dir, or delete {folder.parent}.",
        )
    generate_shop(
        spark,
        str(folder),
        n_users=parameters["n_users"],
        n_items=parameters["n_items"],
        n_behaviours=parameters["n_behaviours"],
        seed=parameters["seed"],
    )
    # Last, so that a shop cut off half-way is generated again.
    marker.write_text(json.dumps(dict(parameters)), encoding="utf-8")
    return True


def gather_people(
    tables: Mapping[str, DataFrame],
    showcase: Mapping[str, str],
    *,
    as_of: datetime,
    n_history: int = 6,
    n_items: int = 5,
) -> list[Person]:
    """Collect what the showcase users did and get. ``showcase``: user id -> who that is, in words.

    Reads ``user_profiles``, ``item_profiles`` and ``recommendations``; a user without a row is shown as known by nothing.
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
            Recommended(
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


def gather_metrics(metrics: DataFrame, *, k: int) -> list[Metric]:
    """Collect the metrics that the demo shows at cut-off ``k``: ours first, then the baselines, in a fixed order."""
    wanted = metrics.where((F.col("k") == k) & F.col("metric").isin(list(_SHOWN_METRICS)))
    rows: list[dict[str, Any]] = [row.asDict() for row in wanted.collect()]
    rows.sort(key=lambda row: (row["model"] != "recsys-spark", row["model"], _SHOWN_METRICS.index(row["metric"])))
    return [Metric(**{name: row[name] for name in Metric.__annotations__}) for row in rows]  # type: ignore[typeddict-item]
