"""The ingest step: reads the sources and writes the contract tables and the rejected rows."""

from __future__ import annotations

from datetime import UTC

from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.errors import DataError
from recsys_spark.ingest.build import Ingested, build_ingest, validate_ingested
from recsys_spark.ingest.sources import Mapped, read_table
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.snapshot import input_snapshot
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.store.areas import Attempt


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


STAGE = Stage("ingest", (), ("sources", "behaviours"), ingest, OwnInput("input", input_snapshot))
