"""STAGES: the table of contents. Running, skipping what is done, and resuming after a crash."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from recsys_spark import __version__, backtest, outcome, steps
from recsys_spark.config import Config, Source
from recsys_spark.errors import ConfigError, RecsysError, StoreError
from recsys_spark.filesystem import FileSystem
from recsys_spark.steps import Context, Facts
from recsys_spark.store import Attempt, Store

log = logging.getLogger("recsys_spark")
_PYTHON_ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt): ")


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
    Stage("ingest", (), ("sources", "behaviours", "run.top_n"), steps.ingest),
    Stage(
        "profiles", ("ingest",), ("profiles", "behaviours", "encoder", "rerank.popular_half_life_days"), steps.profiles
    ),
    Stage("embed", ("profiles",), ("encoder",), steps.embed),
    Stage("train", ("profiles", "embed"), ("model", "behaviours", "run.seed", "score.exclude_seen"), steps.train),
    Stage("score", ("profiles", "embed", "train"), ("score", "run.top_n", "rerank.max_per_category"), steps.score),
    Stage("rerank", ("profiles", "score"), ("rerank", "run.top_n", "score"), steps.rerank),
    Stage("evaluate", ("rerank",), ("evaluate", "run", "behaviours", "score.exclude_seen"), _evaluate),
    Stage("publish", ("rerank", "evaluate"), ("publish",), outcome.publish),
    Stage("report", ("publish",), (), outcome.report),
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
    ctx = Context(
        spark=spark,
        cfg=cfg,
        store=store,
        area=store.area(day.isoformat()),
        run_date=day.isoformat(),
        as_of=cut,
        now=datetime.now(UTC),
    )
    run_stages(ctx, stages)
    return ctx


def run_stages(ctx: Context, names: Sequence[str]) -> None:
    """Run the named stages in order, skipping those that are done."""
    for stage in STAGES:
        if stage.name not in names:
            continue
        label = stage.name if ctx.hidden is None else f"  backtest {stage.name}"
        key = stage_key(ctx, stage)
        done = ctx.area.manifest(stage.name)
        if done is not None and done.key == key and outcome.still_there(ctx, stage.name):
            log.info("%-18s done before, skipped", label)
            continue
        log.info("%-18s started", label)
        started = time.monotonic()
        attempt = ctx.area.attempt(stage.name)
        with _named_failures(stage.name):
            facts = dict(stage.step(ctx, attempt))
        if stage.name == "ingest":
            facts["input"] = input_snapshot(ctx)
        manifest = attempt.commit(key, facts, round(time.monotonic() - started, 2))
        counted = ", ".join(f"{n:,} {table}" for table, n in manifest.rows.items())
        log.info("%-18s finished in %.1f s%s", label, manifest.seconds, f": {counted}" if counted else "")


def stage_key(ctx: Context, stage: Stage) -> str:
    """16 hex digits of all a stage's result depends on: version, date, settings, and the keys of the stages before."""
    content: dict[str, Any] = {
        "version": __version__,
        "stage": stage.name,
        "as_of": ctx.as_of.isoformat(),
        "hidden": ctx.hidden.label if ctx.hidden else None,
        "settings": {name: _setting(ctx.cfg, name) for name in stage.settings},
        "after": {name: ctx.area.finished(name).key for name in stage.after},
    }
    if stage.name == "ingest":
        content["input"] = input_snapshot(ctx)
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def input_snapshot(ctx: Context) -> list[dict[str, Any]]:
    """The files behind the sources: path, bytes, modification time. A catalog table is named only."""
    files = FileSystem(ctx.spark)

    def of(source: Source) -> Iterator[dict[str, Any]]:
        if source.path is not None:
            yield from (asdict(status) for status in files.matches(source.path))
        else:
            yield {"table": source.table}
        for side in source.join:
            yield from of(side)

    sources = ctx.cfg.sources
    return [
        e
        for group in (sources.behaviours, sources.items, sources.users, sources.relations)
        for s in group
        for e in of(s)
    ]


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
            "The data cut-off is no time", where="--as-of", found=value, expected="YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _setting(cfg: Config, dotted: str) -> Any:
    value: Any = cfg.model_dump(mode="json")
    for part in dotted.split("."):
        value = value[part]
    return value


@contextmanager
def _named_failures(stage: str) -> Iterator[None]:
    """Turn what Spark raises into an error that names the stage and says the first cause."""
    try:
        yield
    except RecsysError:
        raise
    except (PySparkException, Py4JJavaError) as error:
        raise RecsysError(
            f"The stage `{stage}` failed in Spark",
            where=stage,
            found=_first_cause(str(error)),
            action="Nothing was published. --verbose shows the whole trace; the same command again continues the run.",
        ) from error
    except OSError as error:
        raise StoreError(f"The stage `{stage}` could not use the store", where=stage, found=error) from error


def _first_cause(text: str) -> str:
    """What a Spark failure says at its root: a Python worker's own error, the deepest `Caused by`, or the first line.

    >>> _first_cause("Job aborted\\nTraceback (most recent call last):\\n  File ...\\nKeyError: 'x'\\n\\tat org.apache")
    "KeyError: 'x'"
    """
    lines = [line for line in text.splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line) and "PythonException" not in line]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return (python or causes or lines or ["unknown"])[-1 if python or causes else 0].strip()[:600]
