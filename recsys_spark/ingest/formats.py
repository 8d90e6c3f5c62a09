"""How a source is opened, by its format. To add a format: a function here if need be, an entry in FORMATS, and its name
in ``config.sources.Format``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.ingest.source_errors import SparkFailure, explain_files, explain_table, nothing_in

MALFORMED = "__malformed"
"""Column in which a reader puts the text of a row that has not the form of its file."""


@dataclass(frozen=True)
class Opened:
    """The rows of a source, not yet read."""

    rows: DataFrame
    """Columns under the source's names, and perhaps ``malformed``."""
    malformed: str | None = None
    """Column with the text of a row that has not the form of its file, and null for all others: MALFORMED or None."""
    n_rows: int | None = None
    """Number of rows, where it is known apart from reading them, as from Parquet's footers."""

    @property
    def columns(self) -> list[str]:
        """Names of the source's own columns."""
        return [name for name in self.rows.columns if name != self.malformed]


@dataclass(frozen=True)
class Format:
    """One way to open a source."""

    open: Callable[[SparkSession, Source], Opened]
    """Returns the rows with the source's column names. What Spark raises becomes a SourceError by ``explain``."""
    is_empty: Callable[[DataFrame], bool]
    """Whether the source holds no data at all, not even column names."""
    explain: Callable[..., Exception] = explain_files
    """Takes (error, spark, source, where) and returns the SourceError for what ``open`` raised."""


def _files(spark: SparkSession, source: Source) -> Opened:
    return Opened(spark.read.format(str(source.format)).options(**source.options).load(source.path))


def _table(spark: SparkSession, source: Source) -> Opened:
    return Opened(spark.table(str(source.table)))


def _has_no_columns(df: DataFrame) -> bool:
    return not df.columns


def _has_no_files(df: DataFrame) -> bool:
    return not df.inputFiles()


TABLE = "table"
"""A table of the session's catalog, which a source names by `table` and not by `format` and `path`."""
FORMATS = {
    "csv": Format(_files, _has_no_columns),
    "json": Format(_files, _has_no_columns),
    "parquet": Format(_files, _has_no_columns),
    "orc": Format(_files, _has_no_columns),
    # Spark knows the one column of a text file without looking at a file.
    "text": Format(_files, _has_no_files),
    TABLE: Format(_table, lambda _: False, explain_table),
}


def open_source(spark: SparkSession, source: Source, *, where: str) -> Opened:
    """Return the rows of a source as it names its columns. Raises SourceError."""
    form = FORMATS[TABLE if source.table is not None else str(source.format)]
    try:
        opened = form.open(spark, source)
        empty = form.is_empty(opened.rows)
    except SparkFailure as error:
        raise form.explain(error, spark, source, where=where) from error
    if empty:
        raise nothing_in(source, where=where)
    return opened
