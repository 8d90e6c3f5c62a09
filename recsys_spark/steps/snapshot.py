"""What the sources looked like when they were read, so that a rerun knows whether they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pyspark.errors import PySparkException

from recsys_spark.config.sources import Source
from recsys_spark.contract import inputs_read
from recsys_spark.errors import SourceError
from recsys_spark.spark.failures import SparkFailure
from recsys_spark.spark.filesystem import FileStatus
from recsys_spark.spark.unreachable import unreachable
from recsys_spark.steps.context import Context


def input_snapshot(ctx: Context) -> list[dict[str, Any]]:
    """Return the files behind the sources that ingest reads: path, bytes and modification time.

    Of a catalog table it is the hash of its file names. A backtest does not read the lists of tonight, so a new
    campaign does not run it again.
    """
    names = [read.table.name for read in inputs_read(backtest=ctx.hidden is not None)]
    return [entry for name in names for entry in _of(ctx, ctx.cfg.sources.of(name), f"sources.{name}")]


def _of(ctx: Context, sources: Sequence[Source], where: str) -> Iterator[dict[str, Any]]:
    """Yield the files of sources and their joins; ``where`` names the sources in messages, as `read_table` does."""
    for position, source in enumerate(sources):
        at = where if len(sources) == 1 else f"{where}[{position}]"
        if source.path is not None:
            yield from map(asdict, _files(ctx, source.path, f"{at}.path"))
        elif source.table is not None:
            yield {"table": source.table, "files": _table_files(ctx, source.table)}
        yield from _of(ctx, source.join, f"{at}.join")


def _files(ctx: Context, path: str, where: str) -> list[FileStatus]:
    try:
        return ctx.store.files.matches(path)
    except SparkFailure as error:
        raise unreachable(error, path, where=where, otherwise=SourceError) from error


def _table_files(ctx: Context, table: str) -> str | None:
    """Return a hash that changes whenever the table is written, because new data are new files.

    Returns None where the table has no files that Spark can name.
    """
    try:
        names = sorted(ctx.spark.table(table).inputFiles())
    except PySparkException:
        return None
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] if names else None
