"""Computes the vectors of items and users, and the best candidates of every user over the whole catalogue."""

from __future__ import annotations

import logging

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import contract, tables
from recsys_spark.config.sections import Score
from recsys_spark.ingest.checks import check_top_n, check_top_n_of_list
from recsys_spark.model.inputs import item_inputs, user_inputs
from recsys_spark.reranking.rules import candidates_needed, with_settings
from recsys_spark.scoring.kernels.packing_items import rows_per_block
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.popular import build_popular_candidates
from recsys_spark.scoring.score import CatalogueSize, build_candidates, user_tasks
from recsys_spark.scoring.vector_checks import check_widths, rejected_vectors, sound
from recsys_spark.scoring.vectors import build_item_vectors, build_user_vectors
from recsys_spark.spark.driver import broadcast
from recsys_spark.spark.gpus import gpu_profile
from recsys_spark.spark.session import block_bytes, task_slots, task_threads
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.eligible import excludes, exclusions_of, offered, served_users
from recsys_spark.steps.stage import Stage
from recsys_spark.steps.stored_model import item_matrix, load_artifact
from recsys_spark.store.areas import Attempt

log = logging.getLogger("recsys_spark")


def score(ctx: Context, attempt: Attempt) -> Facts:
    """Write item_vectors, user_vectors, rejected_rows and candidates from profiles, embeddings and model."""
    _check_lengths(ctx)
    artifact = load_artifact(ctx)
    model = broadcast(ctx.spark, artifact)
    model_id, n_threads = ctx.fact("train", "model_id"), task_threads(ctx.spark)
    item_profiles, served = ctx.table("profiles", tables.ITEM_PROFILES), served_users(ctx)
    items = attempt.write(
        tables.ITEM_VECTORS,
        build_item_vectors(item_inputs(item_profiles, ctx.embeddings), model, model_id=model_id, n_threads=n_threads),
    )
    matrix = broadcast(ctx.spark, item_matrix(items, item_profiles))
    users = attempt.write(
        tables.USER_VECTORS,
        build_user_vectors(user_inputs(served, ctx.embeddings), model, matrix, model_id=model_id, n_threads=n_threads),
    )
    width = artifact.facts.shape.width
    check_widths(users, items, width)
    rejected = attempt.write(tables.REJECTED_ROWS, rejected_vectors(users, items))
    if attempt.rows["rejected_rows"]:
        log.warning("score: %d vectors cannot be scored; see rejected_rows", attempt.rows["rejected_rows"])
    size = CatalogueSize(attempt.rows["item_vectors"], width)
    score_cfg = with_block_bytes(ctx, size).chosen(artifact.facts.choices.w_cos)
    candidates = attempt.write(
        tables.CANDIDATES, _candidates(ctx, sound(users), sound(items), score_cfg, size, attempt.rows["user_vectors"])
    )
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
        "w_cos": Rank.of(score_cfg).w_cos,
    }


def _check_lengths(ctx: Context) -> None:
    """Raise DataError where lists of `run.top_n` items cannot be filled.

    Ingest checks it, too, but does not run again for a larger `run.top_n`.
    """
    check_top_n(ctx.cfg, ctx.area.finished("profiles").rows["item_profiles"], ctx.fact("profiles", "available_items"))
    if contract.ALLOW_LIST.name in ctx.fact("ingest", "given"):
        check_top_n_of_list(
            ctx.cfg, ctx.table("profiles", tables.ITEM_PROFILES), ctx.table("ingest", contract.ALLOW_LIST)
        )


def _candidates(
    ctx: Context, users: DataFrame, items: DataFrame, score_cfg: Score, size: CatalogueSize, n_users: int
) -> DataFrame:
    """Return CANDIDATES: the best items of the users with a vector, and popular items for those without one.

    ``n_users`` is the number of user vectors.
    """
    exclusions, n = exclusions_of(ctx), candidates_needed(ctx.cfg)
    known = build_candidates(
        users,
        offered(ctx, items),
        exclusions if excludes(ctx) else None,
        score_cfg,
        n=n,
        catalogue=size,
        n_tasks=user_tasks(n_users, task_slots(ctx.spark)),
        profile=gpu_profile(ctx.spark, "score", score_cfg.device),
    )
    unknown = served_users(ctx).select("user_id").join(users, "user_id", "left_anti")
    item_profiles = ctx.table("profiles", tables.ITEM_PROFILES)
    popular = build_popular_candidates(unknown, offered(ctx, item_profiles), exclusions, score_cfg, n=n)
    return known.unionByName(popular)


def with_block_bytes(ctx: Context, size: CatalogueSize) -> Score:
    """Return the score section with the size of blocks filled in, and log it."""
    max_bytes = ctx.cfg.score.max_block_bytes or block_bytes(ctx.spark)
    log.info(
        "score: %d items of width %d, in blocks of at most %d items (%.1f MiB of float32 vectors)",
        size.n_items,
        size.width,
        rows_per_block(size.width, max_bytes),
        max_bytes / 2**20,
    )
    return ctx.cfg.score.model_copy(update={"max_block_bytes": max_bytes})


STAGE = Stage("score", ("profiles", "embed", "train"), with_settings("score", "run.top_n"), score)
