"""What the sources looked like when they were read, so that a rerun knows whether they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pyspark.errors import PySparkException

from recsys_spark.config.sources import Source
from recsys_spark.steps.context import Context
from recsys_spark.tables import inputs_read


def input_snapshot(ctx: Context) -> list[dict[str, Any]]:
    """The files behind the sources: path, bytes, modification time; of a catalog table the hash of its file names.

    Only of what ingest reads: a backtest is not run again because of a new campaign.
    """
    names = [read.table.name for read in inputs_read(backtest=ctx.hidden is not None)]
    return [entry for name in names for source in ctx.cfg.sources.of(name) for entry in _of(ctx, source)]


def _of(ctx: Context, source: Source) -> Iterator[dict[str, Any]]:
    if source.path is not None:
        yield from (asdict(status) for status in ctx.store.files.matches(source.path))
    elif source.table is not None:
        yield {"table": source.table, "files": _table_files(ctx, source.table)}
    for side in source.join:
        yield from _of(ctx, side)


def _table_files(ctx: Context, table: str) -> str | None:
    """Changes whenever the table is written, as new data are new files; None where it has none that Spark can name."""
    try:
        names = sorted(ctx.spark.table(table).inputFiles())
    except PySparkException:
        return None
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] if names else None
