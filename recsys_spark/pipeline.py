"""Runs the stages, skips those that are done, and resumes after a crash."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark import __version__
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError, PublishRefused, StoreError
from recsys_spark.spark.driver import require_context
from recsys_spark.spark.failures import named_failures
from recsys_spark.spark.short_runs import small_input
from recsys_spark.steps import mlflow, train
from recsys_spark.steps.context import Context
from recsys_spark.steps.names import BACKTESTED, STAGE_NAMES
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Store

log = logging.getLogger("recsys_spark")

# Module steps/NAME.py of each name in steps/names.py, the one list, which the command line reads without Spark.
STAGES: tuple[Stage, ...] = tuple(import_module(f"recsys_spark.steps.{name}").STAGE for name in STAGE_NAMES)
BY_NAME = {stage.name: stage for stage in STAGES}


def run_pipeline(
    spark: SparkSession,
    cfg: Config,
    run_date: str | date,
    *,
    as_of: str | None = None,
    stages: Sequence[str] = STAGE_NAMES,
) -> Context:
    """Run stages for a date and return the context from which the results are read.

    A stage whose inputs and settings have not changed since it finished is skipped. Raises RecsysError. What an earlier
    run published stays untouched until all gates hold.
    """
    require_context(spark)
    if mlflow.RECORDED.keys() & set(stages):
        mlflow.check(cfg)
    day = parse_date(run_date)
    cut = parse_time(as_of) if as_of else datetime(day.year, day.month, day.day, tzinfo=UTC)
    store = Store(spark, cfg.run.store)
    store.check()
    with named_failures("store"):
        store.lists.recover(day.isoformat())
    ctx = Context(
        spark=spark,
        cfg=cfg,
        store=store,
        area=store.area(day.isoformat()),
        run_date=day.isoformat(),
        as_of=cut,
        # A run for a later day than the clock's, as in a demo, has no future before its as_of.
        now=max(datetime.now(UTC), cut),
        run_backtest=lambda backtest: run_stages(backtest, BACKTESTED),
    )
    if "train" in stages:
        train.check(spark, cfg)
    _check_encoder(ctx, stages)
    run_stages(ctx, stages)
    return ctx


def _check_encoder(ctx: Context, stages: Sequence[str]) -> None:
    """Raise what embed would raise about its model and device, before the stages ahead of it may take hours.

    This is also done where embed has finished, because that depends on the model. A rerun with nothing to do reads
    the model's files once, which takes seconds for gigabytes. Without it, other weights at the same path would go
    unnoticed.
    """
    if {"ingest", "embed"} <= set(stages):
        with named_failures("embed"):
            _ = ctx.encoder


def run_stages(ctx: Context, names: Sequence[str]) -> None:
    """Run the named stages in order, skipping those that are done.

    Raises StoreError where a stage before one of them has not finished, or finished with other settings or input.
    """
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise ConfigError(
            "The stage does not exist",
            where="stages",
            found=", ".join(unknown),
            expected=", ".join(BY_NAME),
            action="Correct the name.",
        )
    for stage in (stage for stage in STAGES if stage.name in names):
        try:
            _run_stage(ctx, stage)
            mlflow.record(ctx, stage.name)
        except PublishRefused:
            # Whoever is woken up wants to see the figures that were refused.
            if "report" in names:
                _run_stage(ctx, BY_NAME["report"])
            raise


def _run_stage(ctx: Context, stage: Stage) -> None:
    label = stage.name if ctx.hidden is None else f"  backtest {stage.name}"
    with named_failures(stage.name):
        _check_upstream(ctx, stage)
        own = stage.own_facts(ctx)
        key = stage_key(ctx, stage, own)
        done = ctx.area.manifest(stage.name)
        if done is not None and done.key == key and stage.still_there(ctx):
            log.info("%-18s done before, skipped", label)
            return
        if stage.own_input:
            stage.own_input.check(ctx, own[stage.own_input.fact])
        log.info("%-18s started", label)
        started = time.monotonic()
        attempt = ctx.area.attempt(stage.name, key)
        with small_input(ctx.spark, _input_bytes(ctx, own)):
            facts = {**stage.step(ctx, attempt), **own}
        manifest = attempt.commit(facts, round(time.monotonic() - started, 2))
    counted = ", ".join(f"{n:,} {table}" for table, n in manifest.rows.items())
    log.info("%-18s finished in %.1f s%s", label, manifest.seconds, f": {counted}" if counted else "")


def _input_bytes(ctx: Context, own: Mapping[str, Any]) -> int | None:
    """Return the bytes of all files that ingest reads, or has read; None where they are not known."""
    files = own["input"] if "input" in own else ctx.fact("ingest", "input")
    sizes = [entry.get("n_bytes") for entry in files]
    return None if None in sizes else sum(sizes)


def stage_key(ctx: Context, stage: Stage, own: Mapping[str, Any] | None = None) -> str:
    """Return 16 hex digits of everything that a stage's result depends on.

    These are version, date, settings, input, encoder, and the stages before. For ingest and embed, ``own`` has the
    input and the encoder of this moment. Later stages use what these two have recorded: files that arrive during a
    run do not stop it half-way, and score needs no text encoder.
    """
    content: dict[str, Any] = {
        "version": __version__,
        "stage": stage.name,
        "as_of": ctx.as_of.isoformat(),
        "hidden": ctx.hidden.label if ctx.hidden else None,
        "settings": {name: _setting(ctx.cfg, name) for name in stage.settings},
        "after": {name: stage_key(ctx, BY_NAME[name]) for name in stage.after},
    }
    if stage.own_input:
        fact = stage.own_input.fact
        content[fact] = ctx.fact(stage.name, fact) if own is None else own[fact]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _check_upstream(ctx: Context, stage: Stage) -> None:
    for name in stage.after:
        # The key first: it names the earliest stage that is missing.
        if stage_key(ctx, BY_NAME[name]) != ctx.area.finished(name).key:
            raise StoreError(
                f"The stage `{name}` finished with other settings or input",
                where=ctx.area.folder,
                found=f"a result of `{name}` that does not belong to this configuration, as_of and version",
                expected="a result made with them",
                action=f"Run `{name}` again, or `pipeline`, which runs all that is out of date.",
            )


def parse_date(value: str | date) -> date:
    """Return a run date. Raises ConfigError."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(
            "The run date is not a date",
            where="--run-date",
            found=value,
            expected="YYYY-MM-DD",
            action="Pass a date such as 2026-06-01.",
        ) from error


def parse_time(value: str) -> datetime:
    """Return a data cut-off, in UTC where no zone is given. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(
            "The data cut-off is not a time",
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
