"""The evaluate step: runs the pipeline at an earlier as_of and compares its lists with what came next."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import contract, tables
from recsys_spark.errors import DataError
from recsys_spark.evaluation.backtest import OURS, build_held_out, build_metrics, build_truth, choose_cut
from recsys_spark.evaluation.baselines.baseline import Known
from recsys_spark.evaluation.baselines.registry import build_baseline_lists
from recsys_spark.scoring.score import build_exclusions
from recsys_spark.steps.context import Context, Facts, Hidden
from recsys_spark.steps.eligible import exclusions_of
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Attempt

AREA = "backtest"


def evaluate(ctx: Context, attempt: Attempt) -> Facts:
    """Run the pipeline at an earlier as_of and write the metrics of its lists."""
    if not ctx.cfg.evaluate.enabled:
        attempt.write(tables.METRICS, ctx.spark.createDataFrame([], tables.METRICS.schema))
        return {"enabled": False}
    back, truth = _backtest(ctx)
    if truth.isEmpty():
        raise DataError(
            "The backtest has nothing to compare with: no user did anything new after the cut",
            where="evaluate",
            found=back.hidden.label if back.hidden else "",
            expected="at least one user who did something new after the cut",
            action="Choose an earlier evaluate.cut or a larger evaluate.holdout_share, or evaluate.enabled = false.",
        )
    if ctx.run_backtest is None:
        raise RuntimeError("evaluate runs inside a pipeline, which sets Context.run_backtest")
    ctx.run_backtest(back)
    attempt.write(tables.METRICS, _metrics(back, truth))
    return {
        "enabled": True,
        "protocol": ctx.cfg.evaluate.protocol,
        "as_of": back.as_of.isoformat(),
        "losses": back.fact("train", "losses"),
        "n_truth_users": truth.select("user_id").distinct().count(),
        "n_truth": truth.count(),
    }


def _backtest(ctx: Context) -> tuple[Context, DataFrame]:
    """Return the context of the earlier walk, and the truth (user_id, item_id)."""
    interactions, asked = ctx.table("ingest", contract.INTERACTIONS), ctx.cfg.evaluate
    if asked.protocol == "leave_out":
        as_of, held_out = ctx.as_of, build_held_out(interactions, ctx.cfg)
        truth = held_out
    else:
        as_of, held_out = choose_cut(interactions, ctx.cfg), None
        earlier = interactions.where(F.col("ts") < F.lit(as_of))
        truth = build_truth(
            interactions.where(F.col("ts") >= F.lit(as_of)),
            build_exclusions(earlier, ctx.cfg, ctx.table("ingest", contract.DENY_LIST)),
        )
    hidden = Hidden(
        # The seed decides which pairs `hash` hides, so it names them too.
        label=f"{asked.protocol} {asked.leave_out_order} {as_of.isoformat()} seed {ctx.cfg.run.seed}",
        held_out=held_out,
        users=truth.select("user_id").distinct(),
    )
    return ctx.walk_of(ctx.store.area(ctx.run_date, AREA), as_of, hidden), truth


def _metrics(back: Context, truth: DataFrame) -> DataFrame:
    """Return METRICS of our lists and of the baselines' lists, all over the users of the truth."""
    cfg = back.cfg
    users = truth.select("user_id").distinct()
    known = Known(
        back.table("ingest", contract.INTERACTIONS), back.table("profiles", tables.ITEM_PROFILES), users, back.cfg
    )
    exclusions = exclusions_of(back).join(users, "user_id", "left_semi")
    lists = {
        OURS: back.table("rerank", tables.RECOMMENDATIONS).select("user_id", "rank", "item_id"),
        **build_baseline_lists(cfg.evaluate.baselines, known, exclusions, n=max(cfg.evaluate.k)),
    }
    of_truth = {
        name: rows.join(users, "user_id", "left_semi").select("user_id", "rank", "item_id")
        for name, rows in lists.items()
    }
    segments = back.table("profiles", tables.USER_PROFILES).select("user_id", "segment")
    return build_metrics(of_truth, truth, segments, back.fact("profiles", "available_items"), cfg)


STAGE = Stage("evaluate", ("rerank",), ("evaluate", "run", "behaviours", "score.exclude_seen"), evaluate)
