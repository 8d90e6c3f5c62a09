"""One cheap pass over the lines of CSV files, before they are split into fields: built-in functions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sources import Source
from recsys_spark.ingest.csv.dialect import BACKSLASH
from recsys_spark.ingest.csv.form import Form

LINE = "__line"
FILE = "__file"


@dataclass(frozen=True)
class Survey:
    """What the lines of a file show."""

    file: str
    """Its path as Spark writes it in `_metadata.file_path`."""
    n_lines: int
    """Lines that Spark's reader takes for rows: not empty, and not a comment."""
    n_odd: int
    """Lines with an odd number of quotes: one of them stands alone, or is closed in another line."""
    n_backslash: int
    """Lines with a backslash before a quote."""
    n_header: int
    """Lines that are equal to the file's header."""
    n_undecodable: int
    """Lines that are not valid UTF-8; 0 where another encoding is given."""

    @property
    def is_plain(self) -> bool:
        """Whether every row is one line, with quotes as RFC 4180 has them, and the header stands once."""
        return not self.n_odd and not self.n_backslash and self.n_header <= 1


def lines_of(spark: SparkSession, source: Source, form: Form) -> DataFrame:
    """Return the lines of the source's files as bytes in column LINE, and the columns from names of folders."""
    # Spark reads the lines of a text file as they are, whatever its encoding is.
    return spark.read.schema(f"{LINE} string").options(**form.of_files()).text(str(source.path))


def surveyed(lines: DataFrame, form: Form, headers: Sequence[str]) -> list[Survey]:
    """Return what the lines of each file show, by the order of the paths. Files without lines are left out.

    ``headers``: texts of the files' headers.
    """
    line, quote = F.col(LINE), form.dialect.quote
    is_row = (line >= F.lit("!")) | line.rlike(r"[^\x00-\x20]")  # the regular expression is for few lines
    if form.comment:
        is_row &= ~F.startswith(line, F.lit(form.comment))
    counts = {
        "n_lines": is_row,
        "n_odd": _odd(line, quote) if quote else F.lit(False),
        "n_backslash": F.contains(line, F.lit(BACKSLASH + quote)) if form.finds_escape else F.lit(False),
        "n_header": line.isin(*sorted(set(headers))) if headers else F.lit(False),
        "n_undecodable": ~F.is_valid_utf8(line) if form.encoding.lower() == "utf-8" else F.lit(False),
    }
    found = (
        lines.select(LINE, F.col("_metadata.file_path").alias(FILE))
        .groupBy(FILE)
        .agg(*(F.count_if(condition).alias(name) for name, condition in counts.items()))
        .where(F.col("n_lines") > 0)
    )
    return sorted(
        (Survey(row[FILE], **{name: row[name] for name in counts}) for row in found.collect()), key=lambda one: one.file
    )


def _odd(line: Column, quote: str) -> Column:
    n_quotes = F.octet_length(line) - F.octet_length(F.replace(line, F.lit(quote), F.lit("")))
    return F.contains(line, F.lit(quote)) & (n_quotes % 2 == 1)
