"""Applies the rules to the candidates and writes the lists with their reasons."""

from __future__ import annotations

from recsys_spark import tables
from recsys_spark.model.inputs import user_inputs
from recsys_spark.reranking.rerank import build_recommendations, choose
from recsys_spark.reranking.rules import with_settings
from recsys_spark.spark.driver import broadcast
from recsys_spark.spark.session import task_threads
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import Stage
from recsys_spark.steps.stored_model import item_matrix, load_artifact
from recsys_spark.store.areas import Attempt


def rerank(ctx: Context, attempt: Attempt) -> Facts:
    """Write recommendations with reasons from candidates and profiles."""
    item_profiles = ctx.table("profiles", tables.ITEM_PROFILES)
    user_profiles = ctx.table("profiles", tables.USER_PROFILES)
    model = broadcast(ctx.spark, load_artifact(ctx))
    matrix = broadcast(ctx.spark, item_matrix(ctx.table("score", tables.ITEM_VECTORS), item_profiles))
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


STAGE = Stage("rerank", ("profiles", "score"), with_settings("rerank", "run.top_n", "score"), rerank)
