"""STAGES: the table of contents. Running, skipping what is done, and resuming after a crash."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark import __version__, backtest, outcome, serving, steps
from recsys_spark.config import Config
from recsys_spark.context import Context, Facts
from recsys_spark.errors import ConfigError, PublishRefused, StoreError
from recsys_spark.failures import named_failures
from recsys_spark.snapshot import input_snapshot
from recsys_spark.store import Attempt, Store

log = logging.getLogger("recsys_spark")


@dataclass(frozen=True)
class Stage:
    """One stage: its name, the stages and configuration it depends on, and its step."""

    name: str
    after: tuple[str, ...]
    settings: tuple[str, ...]
    """Dotted configuration keys; a change of one runs the stage again."""
    step: Callable[[Context, Attempt], Facts]


def _evaluate(ctx: Context, attempt: Attempt) -> Facts:
    return backtest.evaluate(ctx, attempt, lambda back: run_stages(back, WALK))


STAGES = (
    Stage("ingest", (), ("sources", "behaviours"), steps.ingest),
    Stage(
        "profiles", ("ingest",), ("profiles", "behaviours", "encoder", "rerank.popular_half_life_days"), steps.profiles
    ),
    Stage("embed", ("profiles",), ("encoder",), steps.embed),
    Stage("train", ("profiles", "embed"), ("model", "behaviours", "run.seed", "score.exclude_seen"), steps.train),
    Stage("score", ("profiles", "embed", "train"), ("score", "run.top_n", "rerank.max_per_category"), serving.score),
    Stage("rerank", ("profiles", "score"), ("rerank", "run.top_n", "score"), serving.rerank),
    Stage("evaluate", ("rerank",), ("evaluate", "run", "behaviours", "score.exclude_seen"), _evaluate),
    Stage("publish", ("rerank", "evaluate"), ("publish",), outcome.publish),
    # Not after publish: a refused partition has a report as well.
    Stage("report", ("rerank", "evaluate"), ("publish",), outcome.report),
)
NAMES = tuple(stage.name for stage in STAGES)
WALK = NAMES[: NAMES.index("rerank") + 1]


def run_pipeline(
    spark: SparkSession, cfg: Config, run_date: str | date, *, as_of: str | None = None, stages: Sequence[str] = NAMES
) -> Context:
    """Run stages for a date and return the context to read the results from.

    A stage whose inputs and settings have not changed since it finished is skipped. Raises RecsysError; nothing that
    an earlier run published is touched before all gates hold.
    """
    day = parse_date(run_date)
    cut = parse_time(as_of) if as_of else datetime(day.year, day.month, day.day, tzinfo=UTC)
    store = Store(spark, cfg.run.store)
    with named_failures("store"):
        store.recover(day.isoformat())
    ctx = Context(
        spark=spark,
        cfg=cfg,
        store=store,
        area=store.area(day.isoformat()),
        run_date=day.isoformat(),
        as_of=cut,
        # A run for a later day than the clock's, as in a demo, has no future before its as_of.
        now=max(datetime.now(UTC), cut),
    )
    _check_encoder(ctx, stages)
    run_stages(ctx, stages)
    return ctx


def _check_encoder(ctx: Context, stages: Sequence[str]) -> None:
    """Raise what embed would raise of its model and device before the hours that the stages ahead of it may take."""
    if not {"ingest", "embed"} <= set(stages):
        return
    with named_failures("embed"):
        if ctx.area.manifest("embed") is None:
            _ = ctx.encoder


def run_stages(ctx: Context, names: Sequence[str]) -> None:
    """Run the named stages in order, skipping those that are done.

    Raises StoreError where a stage before one of them has not finished, or finished with other settings or input.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigError(
            "There is no such stage",
            where="stages",
            found=", ".join(unknown),
            expected=", ".join(NAMES),
            action="Correct the name.",
        )
    for stage in (stage for stage in STAGES if stage.name in names):
        try:
            _run_stage(ctx, stage)
        except PublishRefused:
            # Whoever is woken up wants to see the figures that were refused.
            if "report" in names:
                _run_stage(ctx, STAGES[NAMES.index("report")])
            raise


def _run_stage(ctx: Context, stage: Stage) -> None:
    label = stage.name if ctx.hidden is None else f"  backtest {stage.name}"
    with named_failures(stage.name):
        ingest_input = input_snapshot(ctx) if stage.name == "ingest" else None
        key = stage_key(ctx, stage, ingest_input)
        _check_upstream(ctx, stage)
        done = ctx.area.manifest(stage.name)
        if done is not None and done.key == key and outcome.still_there(ctx, stage.name):
            log.info("%-18s done before, skipped", label)
            return
        log.info("%-18s started", label)
        started = time.monotonic()
        attempt = ctx.area.attempt(stage.name)
        facts = dict(stage.step(ctx, attempt))
        if ingest_input is not None:
            facts["input"] = ingest_input
        manifest = attempt.commit(key, facts, round(time.monotonic() - started, 2))
    counted = ", ".join(f"{n:,} {table}" for table, n in manifest.rows.items())
    log.info("%-18s finished in %.1f s%s", label, manifest.seconds, f": {counted}" if counted else "")


def stage_key(ctx: Context, stage: Stage, ingest_input: list[dict[str, Any]] | None = None) -> str:
    """16 hex digits of all a stage's result depends on: version, date, settings, input, and the stages before.

    The input is ``ingest_input`` for a run of ingest itself; later stages go by the one that ingest has recorded, so
    that files which arrive while a run walks through its stages do not stop it half-way.
    """
    content: dict[str, Any] = {
        "version": __version__,
        "stage": stage.name,
        "as_of": ctx.as_of.isoformat(),
        "hidden": ctx.hidden.label if ctx.hidden else None,
        "settings": {name: _setting(ctx.cfg, name) for name in stage.settings},
        "after": {name: stage_key(ctx, STAGES[NAMES.index(name)]) for name in stage.after},
    }
    if stage.name == "ingest":
        content["input"] = ctx.fact("ingest", "input") if ingest_input is None else ingest_input
    if "embed" in stage.after:
        # Under the same settings `auto` may be another backend on another driver, and a folder may hold another model.
        content["encoder_id"] = ctx.fact("embed", "encoder_id")
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _check_upstream(ctx: Context, stage: Stage) -> None:
    for name in stage.after:
        if ctx.area.finished(name).key != stage_key(ctx, STAGES[NAMES.index(name)]):
            raise StoreError(
                f"The stage `{name}` finished with other settings or input",
                where=ctx.area.folder,
                found=f"a result of `{name}` that does not belong to this configuration, as_of and version",
                expected="a result made with them",
                action=f"Run `{name}` again, or `pipeline`, which runs all that is out of date.",
            )


def parse_date(value: str | date) -> date:
    """A run date. Raises ConfigError."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(
            "The run date is no date",
            where="--run-date",
            found=value,
            expected="YYYY-MM-DD",
            action="Pass a date such as 2026-06-01.",
        ) from error


def parse_time(value: str) -> datetime:
    """A data cut-off, UTC where no zone is given. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(
            "The data cut-off is no time",
            where="--as-of",
            found=value,
            expected="YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, UTC where no zone is given",
            action="Pass such a time, or leave --as-of out for midnight of the run date.",
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _setting(cfg: Config, dotted: str) -> Any:
    value: Any = cfg.model_dump(mode="json")
    for part in dotted.split("."):
        value = value[part]
    return value
