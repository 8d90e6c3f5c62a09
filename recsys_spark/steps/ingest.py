"""The ingest step: reads the sources and writes the contract tables and the rejected rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.errors import DataError
from recsys_spark.ingest.build import Ingested, build_ingest, validate_ingested
from recsys_spark.ingest.sources import Mapped, read_table
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.snapshot import input_snapshot
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.store.areas import Attempt

Keep = Callable[[tables.Table, DataFrame], DataFrame]
"""Stores a table, or keeps it in memory, and returns it for further use."""


def ingest(ctx: Context, attempt: Attempt) -> Facts:
    """The sources -> interactions, items, users, relations, allow_list, deny_list, selected_users, rejected_rows."""
    written, given = read_and_check(ctx, attempt.write, without=tables.TONIGHT if ctx.hidden is not None else ())
    counted = written.rejected_rows.groupBy("table", "reason").count().orderBy("table", "reason").collect()
    return {"given": given, "rejected": {f"{r['table']}.{r['reason']}": r["count"] for r in counted}}


def read_and_check(ctx: Context, keep: Keep, *, without: Collection[str] = ()) -> tuple[Ingested, list[str]]:
    """Return the run's tables, each as ``keep`` returns it, and the names of the given tables of tables.SERVING.

    The sources of the tables named in ``without`` are not read. Raises RecsysError where the job cannot run on the data.
    """
    mapped: dict[str, Mapped | None] = {}
    for name, table in tables.CONTRACT.items():
        sources = [] if name in without else getattr(ctx.cfg.sources, name)
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
    kept = Ingested(
        interactions=keep(tables.INTERACTIONS, built.interactions),
        items=keep(tables.ITEMS, built.items),
        users=keep(tables.USERS, built.users),
        relations=keep(tables.RELATIONS, built.relations),
        allow_list=keep(tables.ALLOW_LIST, built.allow_list),
        deny_list=keep(tables.DENY_LIST, built.deny_list),
        selected_users=keep(tables.SELECTED_USERS, built.selected_users),
        rejected_rows=keep(tables.REJECTED_ROWS, built.rejected_rows),
    )
    earliest = None
    if kept.interactions.isEmpty():
        first = behaviours.accepted.agg(F.min("ts")).collect()[0][0]
        # Collected timestamps are naive, in the driver's own zone.
        earliest = None if first is None else first.astimezone(UTC)
    given = sorted(name for name in tables.SERVING if mapped[name] is not None)
    validate_ingested(kept, ctx.cfg, as_of=ctx.as_of, earliest_ts=earliest, given=given)
    return kept, given


STAGE = Stage("ingest", (), ("sources", "behaviours"), ingest, OwnInput("input", input_snapshot))
