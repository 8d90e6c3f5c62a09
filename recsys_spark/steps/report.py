"""The report step: gathers the values of a finished run and writes the file. publishing/report.py renders it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.profiles.users import SEGMENTS
from recsys_spark.publishing.report import MAX_HISTORY, ReportInputs, render_report
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.eligible import served_users
from recsys_spark.steps.names import TIMED
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Attempt

N_SAMPLES, N_SHOWN = 5, 10


def report(ctx: Context, attempt: Attempt) -> Facts:
    """Write the HTML report."""
    return {"path": ctx.store.write_report(ctx.run_date, render_report(report_inputs(ctx)))}


def summed(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the rows of each table, summed over stages, because several write `rejected_rows`.

    >>> summed([{"items": 7, "rejected_rows": 3}, {"rejected_rows": 0}])
    {'items': 7, 'rejected_rows': 3}
    """
    total: Counter[str] = Counter()
    for of_stage in rows:
        total.update(of_stage)
    return dict(total)


def report_inputs(ctx: Context) -> ReportInputs:
    """Return all that the report shows, from manifests, metrics and the lists of the sample users."""
    manifests = {name: ctx.area.finished(name) for name in TIMED}
    metrics = ctx.table("evaluate", tables.METRICS).collect()
    evaluated = manifests["evaluate"].facts
    return ReportInputs(
        run_date=ctx.run_date,
        as_of=ctx.as_of.isoformat(),
        config_fingerprint=ctx.cfg.fingerprint(),
        encoder_id=ctx.fact("embed", "encoder_id"),
        model_id=ctx.fact("train", "model_id"),
        row_counts=summed(manifest.rows for manifest in manifests.values()),
        rejected=[
            {"table": name.split(".")[0], "reason": name.split(".")[1], "count": n}
            for name, n in ctx.fact("ingest", "rejected").items()
        ],
        sources=ctx.fact("ingest", "sources"),
        tables=ctx.fact("ingest", "tables"),
        timings={name: manifest.seconds for name, manifest in manifests.items()},
        metrics=[row.asDict() for row in metrics],
        evaluation=_evaluation(evaluated),
        losses=ctx.fact("train", "losses"),
        trial=ctx.fact("train", "trial"),
        held_out=ctx.fact("train", "held_out"),
        chosen=Choices.parse(ctx.fact("train", "choices")).clauses(),
        samples=samples(
            served_users(ctx),
            ctx.table("profiles", tables.ITEM_PROFILES),
            ctx.table("rerank", tables.RECOMMENDATIONS),
        ),
    )


def samples(served: DataFrame, item_profiles: DataFrame, lists: DataFrame) -> list[dict[str, Any]]:
    """Return what up to five of the ``served`` users (USER_PROFILES) did and get, newest behaviour first.

    They are chosen by the hash of their id, one of each segment first.
    """
    users = _chosen(served)
    ids = [user["user_id"] for user in users]
    shown = lists.where(F.col("user_id").isin(ids) & (F.col("rank") <= N_SHOWN)).orderBy("user_id", "rank").collect()
    events = [event for user in users for event in (user["history"] or [])[:MAX_HISTORY]]
    wanted = sorted({row["item_id"] for row in shown} | {event["item_id"] for event in events})
    titles = {
        row["item_id"]: row["title"]
        for row in item_profiles.where(F.col("item_id").isin(wanted)).select("item_id", "title").collect()
    }
    by_user: dict[str, list[Any]] = {name: [] for name in ids}
    for row in shown:
        by_user[row["user_id"]].append(row)
    return [
        {
            "user_id": user["user_id"],
            "segment": user["segment"],
            "source": next((row["source"] for row in by_user[user["user_id"]]), "none"),
            "interest_tags": [tag["tag"] for tag in user["interest_tags"] or []],
            "history": [
                {
                    "title": titles.get(event["item_id"], event["item_id"]),
                    "behaviour": event["behaviour"],
                    # Collected timestamps are naive, in the driver's own zone.
                    "ts": event["ts"].astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
                }
                for event in (user["history"] or [])[:MAX_HISTORY]
            ],
            "recommendations": [
                {
                    "rank": row["rank"],
                    "item_id": row["item_id"],
                    "title": titles.get(row["item_id"], row["item_id"]),
                    "score": row["score"],
                    "reasons": list(row["reasons"] or []),
                }
                for row in by_user[user["user_id"]]
            ],
        }
        for user in users
    ]


def _chosen(user_profiles: DataFrame) -> list[Any]:
    order = Window.partitionBy("segment").orderBy(F.xxhash64("user_id"), "user_id")
    columns = ("user_id", "segment", "history", "interest_tags")
    places = user_profiles.select(*columns, F.row_number().over(order).alias("place"))
    first = places.where((F.col("place") <= N_SAMPLES) & F.col("segment").isin(*SEGMENTS)).collect()
    first.sort(key=lambda row: row["place"])
    by_segment = [[row for row in first if row["segment"] == segment] for segment in SEGMENTS]
    # One of each segment, then second ones, until there are five.
    rounds = [rows[k] for k in range(N_SAMPLES) for rows in by_segment if len(rows) > k]
    return sorted(rounds[:N_SAMPLES], key=lambda row: SEGMENTS.index(row["segment"]))


def _evaluation(facts: dict[str, Any]) -> str:
    if not facts.get("enabled"):
        return "The backtest is switched off (evaluate.enabled = false)."
    how = {
        "time": f"Trained on what happened before {facts['as_of']} and compared with what users did after it.",
        "leave_out": "One item of every user with two or more was held out of training, and the lists must find it.",
    }[facts["protocol"]]
    found = f"{facts['n_truth_users']:,} users, {facts['n_truth']:,} items to find; the whole catalogue is ranked."
    return f"{how} {found} Tags, friends and items are those of today."


# Not after publish: a refused partition has a report as well.
STAGE = Stage(
    "report",
    ("rerank", "evaluate"),
    ("publish",),
    report,
    still_there=lambda ctx: ctx.store.files.exists(ctx.fact("report", "path")),
)
