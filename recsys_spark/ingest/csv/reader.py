"""Opens a CSV source: columns by name, rows by their number of fields, quotes as each file has them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.contents import check_compressed
from recsys_spark.ingest.csv.beginnings import Beginnings
from recsys_spark.ingest.csv.form import Form, check_encoding
from recsys_spark.ingest.csv.headers import check_same, names_by_file, path_of
from recsys_spark.ingest.csv.infer import inferred_types
from recsys_spark.ingest.csv.parts import Part, Parts
from recsys_spark.ingest.csv.survey import Survey, lines_of, surveyed
from recsys_spark.ingest.opened import MALFORMED, Opened
from recsys_spark.ingest.source_errors import nothing_in
from recsys_spark.spark.expressions import quoted
from recsys_spark.spark.files import Listing

log = logging.getLogger("recsys_spark")


def open_csv(spark: SparkSession, source: Source, files: Listing, where: str) -> Opened:
    """Return the rows of a CSV source. Raises SourceError where its files do not make one table.

    Reads the lines of all files once, to see how they are written; the rows are read later.
    """
    check_compressed(spark, files, where=where)
    form = Form(source.options)
    check_encoding(spark, form, where=where)
    lines = lines_of(spark, source, form)
    with_case = str(spark.conf.get("spark.sql.caseSensitive")).lower() == "true"
    headers = Beginnings(spark, source, form, where, with_case).headers(lines.inputFiles())
    if not headers:
        raise nothing_in(source, where=where)
    check_same(headers, source, form, where=where, with_case=with_case)
    surveys: list[Survey] = []
    if not form.is_wide:
        surveys = surveyed(lines, form, [header.text for header in headers if header.text])
        _report(surveys)
    reading = Parts(spark, source, form, lines)
    names = names_by_file(headers, with_case=with_case)
    parts = reading.of(names, surveys)
    rows = reading.rows(parts, {})
    if form.says("inferSchema"):
        rows = reading.rows(parts, inferred_types(rows, source, form))
    if form.of("mode").upper() == "FAILFAST":
        _check_all_rows(rows, where=where)
    return Opened(
        rows, MALFORMED, _n_rows(surveys, parts, form), frozenset(name for own in names.values() for name in own)
    )


def _report(surveys: Sequence[Survey]) -> None:
    """Log which files are not plain."""
    for survey in [one for one in surveys if one.n_undecodable][:_N_REPORTED]:
        log.warning(
            "CSV: %s has %s lines that are not UTF-8; set the source's options = { encoding = ... }",
            path_of(survey.file),
            f"{survey.n_undecodable:,}",
        )
    for survey in [one for one in surveys if one.n_odd][:_N_REPORTED]:
        log.info(
            "CSV: %s has %s lines with a quote that is not closed on its line; its lines are read one by one",
            path_of(survey.file),
            f"{survey.n_odd:,}",
        )


_N_REPORTED = 5
"""Files of which the log speaks."""


def _n_rows(surveys: Sequence[Survey], parts: Sequence[Part], form: Form) -> int | None:
    """Return the number of rows by the lines alone; None where a row may have several lines."""
    if not surveys or any(part.is_exact for part in parts):
        return None
    if form.says("ignoreCorruptFiles") or form.says("ignoreMissingFiles"):
        return None
    return sum(survey.n_lines for survey in surveys) - (len(surveys) if form.has_header else 0)


def _check_all_rows(rows: DataFrame, *, where: str) -> None:
    """Raise SourceError where a row has not the form of its file, as the mode FAILFAST asks for."""
    some = quoted(rows.columns[0])
    # Spark reads no file for the column of malformed rows alone.
    bad = rows.where(F.col(MALFORMED).isNotNull()).select(F.col(some), MALFORMED)
    found = bad.agg(F.count(F.lit(1)).alias("n"), F.min(MALFORMED).alias("text"), F.min(some)).collect()[0]
    if found["n"]:
        raise SourceError(
            "The source has rows of another form than its header, and its mode is FAILFAST",
            where=f"{where}.options.mode",
            found=f"{found['n']:,} rows, such as {str(found['text'])[:200]}",
            expected="rows with one field per column",
            action="Correct the file, or leave out `mode`: such rows are then rejected, and the others are read.",
        )
