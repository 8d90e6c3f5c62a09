"""The ingest step: reads the sources and writes the contract tables and the rejected rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyspark.sql import DataFrame

from recsys_spark import contract, tables
from recsys_spark.ingest.build import Ingested, build_ingest
from recsys_spark.ingest.checks import validate_ingested
from recsys_spark.ingest.sources import read_tables
from recsys_spark.schema import Table
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.snapshot import input_snapshot
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.store.areas import Attempt

Keep = Callable[[Table, DataFrame], DataFrame]
"""Stores a table, or keeps it in memory, and returns it for further use."""


def ingest(ctx: Context, attempt: Attempt) -> Facts:
    """Read the sources, and write the tables that `contract.CONTRACT` stores and rejected_rows."""
    written = read_and_check(ctx, attempt.write, contract.inputs_read(backtest=ctx.hidden is not None))
    rejected = written[tables.REJECTED_ROWS].groupBy("table", "reason").count().orderBy("table", "reason").collect()
    return {
        "given": sorted(name for name in written.given if contract.CONTRACT[name].is_list),
        "rejected": {f"{row['table']}.{row['reason']}": row["count"] for row in rejected},
    }


def read_and_check(ctx: Context, keep: Keep, inputs: Iterable[contract.Input]) -> Ingested:
    """Return the run's tables, each as ``keep`` returns it.

    Only the sources of ``inputs`` are read. Raises RecsysError where the job cannot run on the data.
    """
    hidden = ctx.hidden
    mapped = read_tables(ctx.spark, inputs, ctx.cfg.sources, now=ctx.now)
    kept = build_ingest(
        mapped,
        as_of=ctx.as_of,
        held_out=hidden.held_out if hidden else None,
        extra_users=hidden.users if hidden else None,
    ).each(keep)
    validate_ingested(kept, ctx.cfg, as_of=ctx.as_of, behaviours=mapped[contract.BEHAVIOURS.name].accepted)
    return kept


STAGE = Stage("ingest", (), ("sources", "behaviours"), ingest, OwnInput("input", input_snapshot))
