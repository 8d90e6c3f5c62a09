"""Checks of the expressions of a source: each must be read as it was meant, and a key must come from the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql.types import TimestampType

from recsys_spark.errors import SourceError, nearest
from recsys_spark.ingest.names import unquoted
from recsys_spark.ingest.row_checks import IDS
from recsys_spark.ingest.source_errors import explain_expression, needs_backticks, shown
from recsys_spark.schema import Col
from recsys_spark.spark.expressions import Reading, reading
from recsys_spark.spark.failures import SparkFailure

KEYS = (*IDS, "ts")
"""Columns whose expression must read the source."""


def checked(df: DataFrame, text: str, *, where: str, columns: Sequence[str], group_by: Sequence[str] = ()) -> Reading:
    """Return what an expression over ``df`` reads of the source's ``columns``.

    Raises SourceError where Spark cannot analyse it, and where Spark would read it in another way than it looks: a bare
    word that is not a column, or a second word that would name the result.
    """
    with explained(text, where=where, columns=columns):
        found = reading(df, text, group_by)
    bare = unquoted(text, columns) if found.words or found.alias is not None else None
    if bare is not None:
        raise needs_backticks(bare, text, where=where)
    if found.alias is not None:
        raise SourceError(
            "The expression has a word too many, which Spark would read as the name of the result",
            where=where,
            found=text,
            expected="one Spark SQL expression",
            action=f"Write a name with blanks in backticks: `{text.strip()}`. Otherwise remove `{found.alias}`.",
        )
    if found.aggregates and not group_by:
        raise SourceError(
            "The expression has an aggregate, and the source is not grouped",
            where=where,
            found=text,
            expected="one value for every row",
            action="Add `group_by` to the source, or remove the aggregate.",
        )
    if found.words:
        word, meant = found.words[0], where.rpartition(".")[2]
        close = nearest(word, columns) or (nearest(meant, columns) if meant in KEYS else None)
        # Called as a function it would still be the same for every row, which no key may be.
        call = "" if meant in KEYS else f"For the function write {word}()."
        raise SourceError(
            f"Column `{word}` does not exist in the source",
            where=where,
            found=f"{text}, where Spark would read `{word}` as a function",
            expected=f"one of {shown(columns)}",
            action=" ".join(part for part in (f"Did you mean `{close}`?" if close else "", call) if part)
            or "Name a column of the source.",
        )
    return found


def check_key(col: Col, text: str, found: Reading, *, where: str, columns: Sequence[str]) -> None:
    """Raise SourceError where the expression of an id or a time is the same for every row.

    A time may be a typed literal, which says that one time is meant.
    """
    if col.name not in KEYS:
        return
    is_time = isinstance(col.type, TimestampType)
    if found.names or (is_time and found.is_moment):
        return
    literal = " For one time for all rows write timestamp '2026-01-31 00:00:00' or date '2026-01-31'."
    raise SourceError(
        f"The expression of `{col.name}` reads no column of the source",
        where=where,
        found=f"{text}, which is the same for every row",
        expected=f"an expression over {shown(columns)}",
        action="Name the column that holds it." + (literal if is_time else ""),
    )


@contextmanager
def explained(text: str, *, where: str, columns: Sequence[str]) -> Iterator[None]:
    """Raise SourceError for what Spark raises about an expression over ``columns`` inside the block."""
    try:
        yield
    except SparkFailure as error:
        raise explain_expression(error, text, where=where, columns=columns) from error
