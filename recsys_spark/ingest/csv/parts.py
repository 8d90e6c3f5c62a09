"""The files of a CSV source by the way in which they are read, and the rows that they give."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructField, StructType

from recsys_spark.config.sources import Source
from recsys_spark.ingest.csv.dialect import BACKSLASH
from recsys_spark.ingest.csv.exact import backslash_files, records_of, rows_of
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.csv.headers import path_of
from recsys_spark.ingest.csv.survey import LINE, Survey
from recsys_spark.ingest.opened import MALFORMED

log = logging.getLogger("recsys_spark")
_IN_FILE = "__in_file_"
Names = Mapping[str, tuple[str, ...]]
"""File -> names of its columns, in its order."""


@dataclass(frozen=True)
class Part:
    """Files that are read in one way."""

    names: tuple[str, ...]
    """Names of the columns in the order of the files."""
    escape: str
    is_exact: bool
    files: tuple[str, ...]
    """Paths as Spark writes them in `_metadata.file_path`; empty for all files of the source."""


@dataclass(frozen=True)
class Parts:
    """Divides the files of a source, and reads them."""

    spark: SparkSession
    source: Source
    form: Form
    lines: DataFrame

    def of(self, names: Names, surveys: Sequence[Survey]) -> list[Part]:
        """Return the parts. Without ``surveys`` Spark's reader reads all files."""
        escapes = self._escapes(surveys, names)
        exact = {survey.file for survey in surveys if self.form.says("multiLine") or not survey.is_plain}
        files: dict[tuple[tuple[str, ...], str, bool], list[str]] = {}
        for file in [survey.file for survey in surveys] or names:
            key = (names[file], escapes.get(file, self.form.dialect.escape), file in exact)
            files.setdefault(key, []).append(file)
        if len(files) == 1 and not exact:
            return [Part(*key, files=()) for key in files]
        return [Part(*key, files=tuple(chosen)) for key, chosen in files.items()]

    def rows(self, parts: Sequence[Part], types: Mapping[str, DataType]) -> DataFrame:
        """Return the rows of all parts, their columns put together by name, with MALFORMED.

        ``types``: the columns that are not text.
        """
        return reduce(
            lambda done, more: done.unionByName(more, allowMissingColumns=True),
            [self._exact(part, types) if part.is_exact else self._split(part, types) for part in parts],
        )

    def _escapes(self, surveys: Sequence[Survey], names: Names) -> dict[str, str]:
        """Return the files that have a backslash before a quote inside quotes, each with its escape."""
        by_width: dict[int, list[str]] = {}
        for survey in surveys:
            if survey.n_backslash:
                by_width.setdefault(len(names[survey.file]), []).append(survey.file)
        found = sorted(
            file
            for n_fields, files in by_width.items()
            for file in backslash_files(self.lines, files, self.form, n_fields)
        )
        if found:
            more = f" and {len(found) - 1} more files" if len(found) > 1 else ""
            log.info("CSV: a backslash stands before quotes inside quotes in %s%s", path_of(found[0]), more)
        return dict.fromkeys(found, BACKSLASH)

    def _split(self, part: Part, types: Mapping[str, DataType]) -> DataFrame:
        options = self.form.of_reader(replace(self.form.dialect, escape=part.escape))
        folders = {name.lower() for name in self.lines.columns if name != LINE}
        # Spark would leave a column that also names folders out of the schema, and shift the columns behind it.
        names = [f"{_IN_FILE}{name}" if name.lower() in folders else name for name in part.names]
        schema = _schema(replace(part, names=tuple(names)), types)
        rows = self.spark.read.format("csv").schema(schema).options(**options).load(self.source.path)
        rows = rows.drop(*(name for name in names if name.startswith(_IN_FILE)))
        # Spark opens only the files that the condition names.
        return rows.where(F.col("_metadata.file_path").isin(*part.files)) if part.files else rows

    def _exact(self, part: Part, types: Mapping[str, DataType]) -> DataFrame:
        dialect = replace(self.form.dialect, escape=part.escape)
        records = records_of(self.lines, part.files, self.form, dialect, len(part.names))
        folders = StructType([field for field in self.lines.schema if field.name != LINE])
        return rows_of(records, _schema(part, types), self.form.of_records(dialect), folders)


def _schema(part: Part, types: Mapping[str, DataType]) -> StructType:
    fields = [StructField(name, types.get(name, StringType())) for name in part.names]
    return StructType([*fields, StructField(MALFORMED, StringType())])
