"""A source that is opened and not yet read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.sql import DataFrame

from recsys_spark.config.sources import Source
from recsys_spark.spark.expressions import references
from recsys_spark.spark.failures import SparkFailure

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
    in_files: frozenset[str] = frozenset()
    """Columns that the files themselves have; Spark reads those that also name folders from the folders."""

    @property
    def columns(self) -> list[str]:
        """Names of the source's own columns."""
        return [name for name in self.rows.columns if name != self.malformed]


def used(df: DataFrame, source: Source) -> set[str]:
    """Return the columns of ``df`` that the source's expressions read, in lower case."""
    texts = [*source.columns.values(), *source.group_by, *([source.where] if source.where else [])]
    names = {name.lower() for join in source.join for name in join.on}
    return names.union(*({name.lower() for name in read_by(df, text)} for text in texts))


def read_by(df: DataFrame, text: str) -> frozenset[str]:
    """Return the columns of ``df`` that an expression reads, or may read where Spark cannot tell before a join."""
    try:
        return references(df, text)
    except SparkFailure:
        # The expression also reads a joined column, or is wrong. Its words are then compared with the columns' names.
        return frozenset(n for n in df.columns if re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text, re.IGNORECASE))
