"""The steps behind the stages: read what a stage needs, call it, write what it returns. Used by ``pipeline`` alone."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.config import WINDOW_GROUP_LIMIT_THRESHOLD, Config
from recsys_spark.errors import DataError
from recsys_spark.kernels.artifact import Artifact
from recsys_spark.kernels.encoder_files import resolve_encoder
from recsys_spark.kernels.recommender import ItemMatrix
from recsys_spark.model_inputs import item_inputs, user_inputs
from recsys_spark.session import executor_threads, task_threads
from recsys_spark.sources import Mapped, read_table
from recsys_spark.stages.embed import build_embeddings, profile_texts, unseen_texts
from recsys_spark.stages.ingest import Ingested, build_ingest, validate_ingested
from recsys_spark.stages.item_profiles import build_item_profiles
from recsys_spark.stages.popular import build_popular_candidates
from recsys_spark.stages.rerank import build_recommendations, choose
from recsys_spark.stages.score import build_candidates, build_exclusions
from recsys_spark.stages.train import artifact_of, build_model_rows
from recsys_spark.stages.user_profiles import build_user_profiles
from recsys_spark.stages.vectors import build_item_vectors, build_user_vectors
from recsys_spark.store import Area, Attempt, Store

log = logging.getLogger("recsys_spark")
WITH_HISTORY = ("heavy", "regular", "light")
MODEL_TENSORS, MODEL_FACTS = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Hidden:
    """What a backtest hides from ingest, and whom it serves all the same."""

    label: str
    """Names the protocol and cut; part of the ingest stage's key."""
    held_out: DataFrame | None
    """(user_id, item_id) pairs dropped from the interactions."""
    users: DataFrame
    """(user_id) of the truth: served even when nothing was known of them."""


@dataclass(frozen=True)
class Context:
    """One walk through the stages."""

    spark: SparkSession
    cfg: Config
    store: Store
    area: Area
    run_date: str
    as_of: datetime
    now: datetime
    hidden: Hidden | None = None

    @cached_property
    def embeddings(self) -> DataFrame:
        """EMBEDDINGS of the encoder the embed stage used."""
        return self.store.embeddings(self.fact("embed", "encoder_id"))

    def table(self, stage: str, table: tables.Table) -> DataFrame:
        """A table of a finished stage of this walk."""
        return self.area.table(stage, table)

    def fact(self, stage: str, name: str) -> Any:
        """A fact of a finished stage's manifest."""
        return self.area.finished(stage).facts[name]


Facts = Mapping[str, Any]
Step = Callable[[Context, Attempt], Facts]


def ingest(ctx: Context, attempt: Attempt) -> Facts:
    """The sources -> interactions, items, users, relations, allow_list, deny_list, selected_users, rejected_rows."""
    mapped: dict[str, Mapped | None] = {}
    for name, table in tables.CONTRACT.items():
        of_tonight = ctx.hidden is not None and name in tables.TONIGHT
        sources = [] if of_tonight else getattr(ctx.cfg.sources, name)
        where = f"sources.{name}"
        mapped[name] = read_table(ctx.spark, table, sources, where=where, now=ctx.now) if sources else None
    behaviours, items = mapped["behaviours"], mapped["items"]
    if behaviours is None or items is None:  # the config has made sure of both
        raise DataError("Behaviours and items are needed", where="sources")
    built = build_ingest(
        behaviours,
        items,
        mapped["users"],
        mapped["relations"],
        ctx.cfg,
        as_of=ctx.as_of,
        held_out=ctx.hidden.held_out if ctx.hidden else None,
        extra_users=ctx.hidden.users if ctx.hidden else None,
        allow_list=mapped["allow_list"],
        deny_list=mapped["deny_list"],
        selected_users=mapped["selected_users"],
    )
    written = Ingested(
        interactions=attempt.write(tables.INTERACTIONS, built.interactions),
        items=attempt.write(tables.ITEMS, built.items),
        users=attempt.write(tables.USERS, built.users),
        relations=attempt.write(tables.RELATIONS, built.relations),
        allow_list=attempt.write(tables.ALLOW_LIST, built.allow_list),
        deny_list=attempt.write(tables.DENY_LIST, built.deny_list),
        selected_users=attempt.write(tables.SELECTED_USERS, built.selected_users),
        rejected_rows=attempt.write(tables.REJECTED_ROWS, built.rejected_rows),
    )
    earliest = None
    if not attempt.rows["interactions"]:
        first = behaviours.accepted.agg(F.min("ts")).collect()[0][0]
        # Collected timestamps are naive, in the driver's own zone.
        earliest = None if first is None else first.astimezone(UTC)
    given = sorted(name for name in tables.SERVING if mapped[name] is not None)
    validate_ingested(written, ctx.cfg, as_of=ctx.as_of, earliest_ts=earliest, given=given)
    counted = written.rejected_rows.groupBy("table", "reason").count().orderBy("table", "reason").collect()
    return {"given": given, "rejected": {f"{r['table']}.{r['reason']}": r["count"] for r in counted}}


def profiles(ctx: Context, attempt: Attempt) -> Facts:
    """Interactions, items, users, relations -> item_profiles, user_profiles."""
    interactions = ctx.table("ingest", tables.INTERACTIONS)
    items = attempt.write(
        tables.ITEM_PROFILES,
        build_item_profiles(ctx.table("ingest", tables.ITEMS), interactions, ctx.cfg, as_of=ctx.as_of),
    )
    users = attempt.write(
        tables.USER_PROFILES,
        build_user_profiles(
            interactions,
            ctx.table("ingest", tables.USERS),
            ctx.table("ingest", tables.RELATIONS),
            items,
            ctx.cfg,
            as_of=ctx.as_of,
        ),
    )
    segments = users.groupBy("segment").count().orderBy("segment").collect()
    return {
        "segments": {r["segment"]: r["count"] for r in segments},
        "cold_items": items.where("is_cold").count(),
        "available_items": items.where("available").count(),
    }


def embed(ctx: Context, attempt: Attempt) -> Facts:
    """Profiles -> vectors of the texts that have none yet, appended to the shared embeddings."""
    spec = resolve_encoder(ctx.cfg.encoder)
    texts = profile_texts(
        ctx.table("profiles", tables.USER_PROFILES), ctx.table("profiles", tables.ITEM_PROFILES), ctx.cfg
    )
    unseen = unseen_texts(texts, ctx.store.embeddings(spec.encoder_id), spec.encoder_id)
    n_texts, n_unseen = texts.count(), unseen.count()
    if n_unseen:
        vectors = build_embeddings(unseen, spec, n_texts=n_unseen, n_threads=task_threads(ctx.spark))
        ctx.store.append_embeddings(spec.encoder_id, vectors)
    return {
        "encoder_id": spec.encoder_id,
        "model": spec.model,
        "width": spec.width,
        "n_texts": n_texts,
        "n_encoded": n_unseen,
    }


def train(ctx: Context, attempt: Attempt) -> Facts:
    """Profiles and embeddings -> the model artifact."""
    users = user_inputs(ctx.table("profiles", tables.USER_PROFILES), ctx.embeddings)
    rows = build_model_rows(
        item_inputs(ctx.table("profiles", tables.ITEM_PROFILES), ctx.embeddings),
        users,
        ctx.cfg,
        n_users=sum(ctx.fact("profiles", "segments").get(name, 0) for name in WITH_HISTORY),
        text_width=ctx.fact("embed", "width"),
        n_threads=ctx.cfg.model.threads or executor_threads(ctx.spark),
    )
    artifact = artifact_of(rows.collect())
    artifact.facts["encoder_id"] = ctx.fact("embed", "encoder_id")
    if not (ctx.spark.sparkContext.master or "").startswith("local"):
        # On a cluster the task's own lines are in an executor's log; in local mode they were on this terminal.
        for loss in artifact.facts["losses"]:
            log.info("train: epoch %d loss %.4f (%.1f s)", loss["epoch"], loss["loss"], loss["seconds"])
    attempt.write_file(MODEL_TENSORS, artifact.tensor_bytes())
    attempt.write_file(MODEL_FACTS, artifact.facts_json().encode())
    kept = ("losses", "seconds", "n_users", "n_positions")
    return {"model_id": artifact.model_id, **{name: artifact.facts[name] for name in kept}}


def load_artifact(ctx: Context) -> Artifact:
    """The model of this walk."""
    return Artifact.parse(ctx.area.file("train", MODEL_TENSORS), ctx.area.file("train", MODEL_FACTS).decode())


def score(ctx: Context, attempt: Attempt) -> Facts:
    """Profiles, embeddings, model -> item_vectors, user_vectors, candidates."""
    _check_top_n(ctx)
    n_threads, model_id = task_threads(ctx.spark), ctx.fact("train", "model_id")
    model = ctx.spark.sparkContext.broadcast(load_artifact(ctx))
    item_profiles = ctx.table("profiles", tables.ITEM_PROFILES)
    user_profiles = ctx.table("profiles", tables.USER_PROFILES)
    inputs = item_inputs(item_profiles, ctx.embeddings)
    items = attempt.write(
        tables.ITEM_VECTORS, build_item_vectors(inputs, model, model_id=model_id, n_threads=n_threads)
    )
    matrix = ctx.spark.sparkContext.broadcast(item_matrix(items, item_profiles))
    users = attempt.write(
        tables.USER_VECTORS,
        build_user_vectors(
            user_inputs(user_profiles, ctx.embeddings), model, matrix, model_id=model_id, n_threads=n_threads
        ),
    )
    exclusions = build_exclusions(ctx.table("ingest", tables.INTERACTIONS), ctx.cfg)
    n = candidates_per_user(ctx.cfg)
    known = build_candidates(users, items, exclusions, ctx.cfg.score, n=n)
    unknown = user_profiles.select("user_id").join(users, "user_id", "left_anti")
    popular = build_popular_candidates(unknown, item_profiles, exclusions, ctx.cfg.score, n=n)
    attempt.write(tables.CANDIDATES, known.unionByName(popular))
    model.destroy()
    matrix.destroy()
    return {"n_popular": attempt.rows["candidates"] and unknown.count()}


def rerank(ctx: Context, attempt: Attempt) -> Facts:
    """Candidates and profiles -> recommendations with reasons."""
    item_profiles = ctx.table("profiles", tables.ITEM_PROFILES)
    user_profiles = ctx.table("profiles", tables.USER_PROFILES)
    model = ctx.spark.sparkContext.broadcast(load_artifact(ctx))
    matrix = ctx.spark.sparkContext.broadcast(item_matrix(ctx.table("score", tables.ITEM_VECTORS), item_profiles))
    lists = attempt.write(
        tables.RECOMMENDATIONS,
        build_recommendations(
            choose(ctx.table("score", tables.CANDIDATES), item_profiles, ctx.cfg),
            user_inputs(user_profiles, ctx.embeddings),
            user_profiles,
            model,
            matrix,
            ctx.cfg,
            model_id=ctx.fact("train", "model_id"),
            n_threads=task_threads(ctx.spark),
        ),
    )
    model.destroy()
    matrix.destroy()
    sources = lists.where("rank = 1").groupBy("source").count().orderBy("source").collect()
    return {"users_by_source": {r["source"]: r["count"] for r in sources}}


def candidates_per_user(cfg: Config) -> int:
    """How many candidates rerank needs to choose from."""
    if not cfg.rerank.max_per_category:
        return cfg.run.top_n
    return min(math.ceil(cfg.run.top_n * cfg.score.oversample), WINDOW_GROUP_LIMIT_THRESHOLD)


def item_matrix(item_vectors: DataFrame, item_profiles: DataFrame) -> ItemMatrix:
    """The catalogue's vectors as workers hold them; it goes through the driver, as any broadcast does."""
    rows = item_vectors.join(item_profiles.select("item_id", "title"), "item_id").select(
        "item_id", "title", "token", "y", "theta"
    )
    table = rows.toArrow().sort_by("item_id")

    def matrix(name: str) -> np.ndarray:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        # A copy of its own: torch refuses to be quiet about memory it may not write to.
        return np.array(flat).reshape(table.num_rows, -1)

    ids = table["item_id"].to_numpy().astype(object)
    return ItemMatrix(
        fingerprint=hashlib.sha256("\0".join(ids).encode("utf-8", "surrogatepass")).hexdigest()[:16],
        ids=ids,
        titles=table["title"].to_numpy().astype(object),
        tokens=matrix("token"),
        y=matrix("y"),
        theta=matrix("theta"),
    )


def _check_top_n(ctx: Context) -> None:
    n_items = ctx.fact("profiles", "available_items")
    if ctx.cfg.run.top_n > n_items:
        raise DataError(
            "run.top_n is larger than the catalogue",
            where="run.top_n",
            found=ctx.cfg.run.top_n,
            expected=f"at most {n_items}, the items that may be recommended",
            action="Lower run.top_n or add items.",
        )
