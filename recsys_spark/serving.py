"""The steps that use the model: score and rerank. Used by ``pipeline`` alone."""

from __future__ import annotations

import hashlib
import logging
import math

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.config import WINDOW_GROUP_LIMIT_THRESHOLD, Config, Score
from recsys_spark.context import Context, Facts
from recsys_spark.errors import EncoderError
from recsys_spark.gpus import gpu_profile
from recsys_spark.kernels.artifact import Artifact
from recsys_spark.kernels.packing_items import rows_per_block
from recsys_spark.kernels.recommender import ItemMatrix
from recsys_spark.learning import MODEL_FACTS, model_of
from recsys_spark.model_inputs import item_inputs, user_inputs
from recsys_spark.session import block_bytes, task_slots, task_threads
from recsys_spark.stages.ingest import check_top_n, check_top_n_of_list
from recsys_spark.stages.popular import build_popular_candidates
from recsys_spark.stages.rerank import build_recommendations, choose
from recsys_spark.stages.score import CatalogueSize, build_candidates, build_exclusions, restrict_items, user_tasks
from recsys_spark.stages.vector_checks import check_widths, rejected_vectors, sound
from recsys_spark.stages.vectors import build_item_vectors, build_user_vectors
from recsys_spark.store import Attempt

log = logging.getLogger("recsys_spark")


def load_artifact(ctx: Context) -> Artifact:
    """The model of this walk; raises EncoderError where it was trained on vectors of another encoder than this walk's."""
    artifact = model_of(ctx.area)
    trained = (artifact.facts["encoder_id"], artifact.facts["shape"]["text_width"])
    embedded = (ctx.fact("embed", "encoder_id"), ctx.fact("embed", "width"))
    if trained != embedded:
        raise EncoderError(
            "The model was trained on vectors of another encoder",
            where=f"{ctx.area.folder}, {MODEL_FACTS}",
            found="encoder {} of width {}, and embeddings of encoder {} of width {}".format(*trained, *embedded),
            expected="one encoder for both",
            action="Run `train` again, or set [encoder] as it was.",
        )
    return artifact


def score(ctx: Context, attempt: Attempt) -> Facts:
    """Profiles, embeddings, model -> item_vectors, user_vectors, rejected_rows, candidates."""
    # Ingest has checked it as well, but a larger top_n does not run ingest again.
    check_top_n(ctx.cfg, ctx.area.finished("profiles").rows["item_profiles"], ctx.fact("profiles", "available_items"))
    if tables.ALLOW_LIST.name in ctx.fact("ingest", "given"):
        check_top_n_of_list(
            ctx.cfg, ctx.table("profiles", tables.ITEM_PROFILES), ctx.table("ingest", tables.ALLOW_LIST)
        )
    n_threads, model_id = task_threads(ctx.spark), ctx.fact("train", "model_id")
    artifact = load_artifact(ctx)
    model = ctx.spark.sparkContext.broadcast(artifact)
    item_profiles = ctx.table("profiles", tables.ITEM_PROFILES)
    served = served_users(ctx)
    items = attempt.write(
        tables.ITEM_VECTORS,
        build_item_vectors(item_inputs(item_profiles, ctx.embeddings), model, model_id=model_id, n_threads=n_threads),
    )
    matrix = ctx.spark.sparkContext.broadcast(item_matrix(items, item_profiles))
    users = attempt.write(
        tables.USER_VECTORS,
        build_user_vectors(user_inputs(served, ctx.embeddings), model, matrix, model_id=model_id, n_threads=n_threads),
    )
    width = artifact.facts["shape"]["width"]
    check_widths(users, items, width)
    rejected = attempt.write(tables.REJECTED_ROWS, rejected_vectors(users, items))
    if attempt.rows["rejected_rows"]:
        log.warning("score: %d vectors cannot be scored; see rejected_rows", attempt.rows["rejected_rows"])
    size = CatalogueSize(attempt.rows["item_vectors"], width)
    score_cfg = with_block_bytes(ctx, size).chosen(artifact.facts["w_cos"])
    exclusions, n = exclusions_of(ctx), candidates_per_user(ctx.cfg)
    known = build_candidates(
        sound(users),
        offered(ctx, sound(items)),
        exclusions if excludes(ctx) else None,
        score_cfg,
        n=n,
        catalogue=size,
        n_tasks=user_tasks(attempt.rows["user_vectors"], task_slots(ctx.spark)),
        profile=gpu_profile(ctx.spark, "score", score_cfg.device),
    )
    unknown = served.select("user_id").join(sound(users), "user_id", "left_anti")
    popular = build_popular_candidates(unknown, offered(ctx, item_profiles), exclusions, score_cfg, n=n)
    candidates = attempt.write(tables.CANDIDATES, known.unionByName(popular))
    model.destroy()
    matrix.destroy()
    n_users, n_lists = served.count(), candidates.where("rank = 1").count()
    n_known = attempt.rows["user_vectors"] - rejected.where(F.col("table") == tables.USER_VECTORS.name).count()
    return {
        "n_popular": n_users - n_known,
        "rejected_vectors": attempt.rows["rejected_rows"],
        # Everything they could get is excluded.
        "users_with_empty_list": n_users - n_lists,
        "max_block_bytes": score_cfg.max_block_bytes,
        "w_cos": score_cfg.cosine_weight,
    }


def served_users(ctx: Context) -> DataFrame:
    """USER_PROFILES of the users who get a list: all, or those of `sources.selected_users`."""
    users = ctx.table("profiles", tables.USER_PROFILES)
    if tables.SELECTED_USERS.name not in ctx.fact("ingest", "given"):
        return users
    return users.join(ctx.table("ingest", tables.SELECTED_USERS), "user_id", "left_semi")


def exclusions_of(ctx: Context) -> DataFrame:
    """Pairs (user_id, item_id) that must not be recommended to the users who get a list."""
    pairs = build_exclusions(ctx.table("ingest", tables.INTERACTIONS), ctx.cfg, ctx.table("ingest", tables.DENY_LIST))
    if tables.SELECTED_USERS.name not in ctx.fact("ingest", "given"):
        return pairs
    return pairs.join(ctx.table("ingest", tables.SELECTED_USERS), "user_id", "left_semi")


def excludes(ctx: Context) -> bool:
    """Whether :func:`exclusions_of` may hold a pair at all, as the configuration says."""
    return bool(ctx.cfg.score.exclude_seen) or tables.DENY_LIST.name in ctx.fact("ingest", "given")


def offered(ctx: Context, items: DataFrame) -> DataFrame:
    """Items (item_id, available, ...) after the allow-list, with the segment whose best are wanted."""
    if tables.ALLOW_LIST.name in ctx.fact("ingest", "given"):
        items = restrict_items(items, ctx.table("ingest", tables.ALLOW_LIST), ctx.cfg.score)
    if ctx.cfg.score.top_n_per:
        category = ctx.table("profiles", tables.ITEM_PROFILES).select(
            "item_id", F.col("category").alias(tables.SEGMENT)
        )
        items = items.join(category, "item_id", "left")
    return items


def with_block_bytes(ctx: Context, size: CatalogueSize) -> Score:
    """The score section with its block size filled in, which is logged."""
    max_bytes = ctx.cfg.score.max_block_bytes or block_bytes(ctx.spark)
    log.info(
        "score: %d items of width %d, in blocks of at most %d items (%.1f MiB of float32 vectors)",
        size.n_items, size.width, rows_per_block(size.width, max_bytes), max_bytes / 2**20,
    )  # fmt: skip
    return ctx.cfg.score.model_copy(update={"max_block_bytes": max_bytes})


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
            ctx.cfg.model_copy(update={"score": ctx.cfg.score.chosen(ctx.fact("score", "w_cos"))}),
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
        "item_id", "title", "token", "y", "theta", "link"
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
        link=np.array(table["link"].fill_null(-1).to_numpy(), np.int64),
    )
