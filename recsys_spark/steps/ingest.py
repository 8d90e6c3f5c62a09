"""The ingest step: reads the sources and writes the contract tables and the rejected rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from pyspark.sql import DataFrame

from recsys_spark import contract, tables
from recsys_spark.ingest import staging
from recsys_spark.ingest.build import Ingested, build_ingest
from recsys_spark.ingest.checks import validate_ingested
from recsys_spark.ingest.sources import Mapped, read_tables
from recsys_spark.ingest.sums import table_accounts
from recsys_spark.schema import Table
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.snapshot import input_snapshot
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.store.areas import Attempt

Keep = Callable[[Table, DataFrame], DataFrame]
"""Stores a table, or keeps it in memory, and returns it for further use."""


def ingest(ctx: Context, attempt: Attempt) -> Facts:
    """Read the sources, and write the tables that `contract.CONTRACT` stores and rejected_rows."""
    inputs = contract.inputs_read(backtest=ctx.hidden is not None)
    written, mapped = read_and_check(ctx, attempt.write, inputs, stage=attempt.stage_source)
    counts = written[tables.REJECTED_ROWS].groupBy("table", "reason").count().orderBy("table", "reason").collect()
    rejected = {(row["table"], row["reason"]): int(row["count"]) for row in counts}
    accounts = table_accounts(mapped, written, attempt.rows, rejected, backtest=ctx.hidden is not None)
    attempt.drop_sources()
    return {
        "given": sorted(name for name in written.given if contract.CONTRACT[name].is_list),
        "rejected": {f"{table}.{reason}": n for (table, reason), n in rejected.items()},
        "sources": [asdict(account) for read in mapped.values() for account in read.accounts],
        "tables": [asdict(account) for account in accounts],
    }


def read_and_check(
    ctx: Context, keep: Keep, inputs: Iterable[contract.Input], *, stage: staging.Stage
) -> tuple[Ingested, Mapping[str, Mapped]]:
    """Return the run's tables, each as ``keep`` returns it, and what their sources gave, as ``stage`` stored it.

    Only the sources of ``inputs`` are read. Raises RecsysError where the job cannot run on the data.
    """
    hidden = ctx.hidden
    mapped = read_tables(ctx.spark, inputs, ctx.cfg.sources, now=ctx.now, as_of=ctx.as_of, stage=stage)
    kept = build_ingest(
        mapped,
        as_of=ctx.as_of,
        held_out=hidden.held_out if hidden else None,
        extra_users=hidden.users if hidden else None,
    ).each(keep)
    validate_ingested(kept, ctx.cfg, as_of=ctx.as_of, behaviours=mapped[contract.BEHAVIOURS.name].accepted)
    return kept, mapped


STAGE = Stage("ingest", (), ("sources", "behaviours"), ingest, OwnInput("input", input_snapshot))
