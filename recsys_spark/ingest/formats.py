"""How a source is opened, by its format. To add a format: a function here if need be, an entry in FORMATS, and its name
in ``config.sources.Format``.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.ingest.files import check_reach, files_of
from recsys_spark.ingest.opened import Opened
from recsys_spark.ingest.parquet import open_parquet
from recsys_spark.ingest.source_errors import explain_files, explain_table, nothing_in
from recsys_spark.spark.failures import SparkFailure
from recsys_spark.spark.files import Listing

Open = Callable[[SparkSession, Source, Listing, str], Opened]
"""Takes a session, a source, its files and where it stands, and returns its rows; raises SourceError."""


def _files(spark: SparkSession, source: Source, files: Listing, where: str) -> Opened:
    return Opened(spark.read.format(str(source.format)).options(**source.options).load(source.path))


FORMATS: dict[str, Open] = {
    "csv": _files,
    "json": _files,
    "parquet": open_parquet,
    "orc": _files,
    "text": _files,
}


def open_source(spark: SparkSession, source: Source, *, where: str) -> Opened:
    """Return the rows of a source as it names its columns. Raises SourceError."""
    if source.table is not None:
        return _open_table(spark, source, where=where)
    try:
        files = files_of(spark, source, where=where)
        if not files.paths:
            raise nothing_in(source, where=where)
        opened = FORMATS[str(source.format)](spark, source, files, where)
        if not opened.columns:
            raise nothing_in(source, where=where)
        check_reach(opened.rows, files, source, where=where)
    except SparkFailure as error:
        raise explain_files(error, spark, source, where=where) from error
    return opened


def _open_table(spark: SparkSession, source: Source, *, where: str) -> Opened:
    """Return the rows of a table of the session's catalog."""
    try:
        return Opened(spark.table(str(source.table)))
    except SparkFailure as error:
        raise explain_table(error, spark, source, where=where) from error
