"""The publish step: checks the gates and makes the lists visible."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from recsys_spark import __version__, contract, tables
from recsys_spark.evaluation.backtest import OURS
from recsys_spark.publishing.gates import Night, check_gates
from recsys_spark.publishing.list_facts import ListFacts, list_facts
from recsys_spark.scoring.vector_checks import sound
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.eligible import exclusions_of, offered, served_users
from recsys_spark.steps.names import TIMED
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Attempt


def publish(ctx: Context, attempt: Attempt) -> Facts:
    """Check the gates, then make the partition visible with its manifest."""
    lists = ctx.table("rerank", tables.RECOMMENDATIONS)
    users = served_users(ctx).select("user_id")
    scored = sound(ctx.table("score", tables.ITEM_VECTORS)).select("item_id")
    items = ctx.table("profiles", tables.ITEM_PROFILES).join(scored, "item_id", "left_semi")
    n_available = offered(ctx, items).where("available").count()
    [row] = list_facts(lists, users, exclusions_of(ctx), top_n=ctx.cfg.run.top_n, n_available=n_available).collect()
    facts = ListFacts(**row.asDict())
    ingested = ctx.area.finished("ingest")
    n_rejected = ingested.rows["rejected_rows"]
    n_used = sum(ingested.rows[entry.stored.name] for entry in contract.CONTRACT.values())
    night = Night(facts, _our_metrics(ctx), n_rejected=n_rejected, n_input=n_rejected + n_used)
    gates = check_gates(ctx.cfg.publish, night)
    manifest = {
        "run_date": ctx.run_date,
        "as_of": ctx.as_of.isoformat(),
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "config_fingerprint": ctx.cfg.fingerprint(),
        "encoder_id": ctx.fact("embed", "encoder_id"),
        "model_id": ctx.fact("train", "model_id"),
        "w_cos": ctx.fact("score", "w_cos"),
        "rows": {name: ctx.area.finished(name).rows for name in TIMED},
        "rejected": ctx.fact("ingest", "rejected"),
        "rejected_texts": ctx.fact("embed", "rejected"),
        "input": ctx.fact("ingest", "input"),
        "n_users": facts.n_users,
        "n_users_with_list": facts.n_lists,
        "n_users_with_full_list": facts.n_full,
        "n_users_with_empty_list": ctx.fact("score", "users_with_empty_list"),
        "rejected_vectors": ctx.fact("score", "rejected_vectors"),
        "gates": gates,
        "seconds": {name: ctx.area.finished(name).seconds for name in TIMED},
    }
    path = ctx.store.lists.publish(ctx.run_date, lists, manifest)
    return {"path": path, "gates": gates, "n_users": facts.n_users, "n_full": facts.n_full}


def _our_metrics(ctx: Context) -> dict[str, float]:
    metrics = ctx.table("evaluate", tables.METRICS).where((F.col("model") == OURS) & (F.col("segment") == "all"))
    rows: list[Any] = metrics.collect()
    return {f"{r['metric']}@{r['k']}": float(r["value"]) for r in rows}


STAGE = Stage(
    "publish",
    ("rerank", "evaluate"),
    ("publish", "run.top_n", "score"),
    publish,
    still_there=lambda ctx: ctx.store.lists.manifest(ctx.run_date) is not None,
)
