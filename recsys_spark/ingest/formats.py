"""How a source is opened, by its format. To add a format: a function here if need be, an entry in FORMATS, and its name
in ``config.sources.Format``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.columnar import open_columnar
from recsys_spark.ingest.contents import beginnings
from recsys_spark.ingest.csv.reader import open_csv
from recsys_spark.ingest.files import check_reach, files_of, option
from recsys_spark.ingest.folders import decoded
from recsys_spark.ingest.json import open_json
from recsys_spark.ingest.opened import Opened
from recsys_spark.ingest.source_errors import explain_files, explain_table, nothing_in
from recsys_spark.spark.failures import SparkFailure
from recsys_spark.spark.files import Listing

Open = Callable[[SparkSession, Source, Listing, str], Opened]
"""Takes a session, a source, its files and where it stands, and returns its rows; raises SourceError."""


def _files(spark: SparkSession, source: Source, files: Listing, where: str) -> Opened:
    return Opened(spark.read.format(str(source.format)).options(**source.options).load(source.path))


def _text(spark: SparkSession, source: Source, files: Listing, where: str) -> Opened:
    encoding = option(source, "encoding") or option(source, "charset")
    if encoding.lower().replace("-", "") not in ("", "utf8"):
        raise SourceError(
            "Spark reads the format `text` in UTF-8 only",
            where=f"{where}.options",
            found=f"encoding = {encoding}",
            expected="files in UTF-8",
            action='Read them with format = "csv", this encoding and header = "false": the column is then `_c0`. '
            "Or save the files as UTF-8.",
        )
    beginnings(spark, files, wide=False, where=where)
    return _files(spark, source, files, where)


FORMATS: dict[str, Open] = {
    "csv": open_csv,
    "json": open_json,
    "parquet": open_columnar,
    "orc": open_columnar,
    "text": _text,
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
        check_reach(opened.rows, opened.in_files, files, source, where=where)
        opened = replace(opened, rows=decoded(opened.rows, files))
    except SparkFailure as error:
        raise explain_files(error, spark, source, where=where) from error
    return opened


def _open_table(spark: SparkSession, source: Source, *, where: str) -> Opened:
    """Return the rows of a table of the session's catalog."""
    try:
        return Opened(spark.table(str(source.table)))
    except SparkFailure as error:
        raise explain_table(error, spark, source, where=where) from error
