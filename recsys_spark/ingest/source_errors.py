"""Errors of a source or an expression: what Spark says becomes a SourceError on which the user can act."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.errors import ParseException, PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError, nearest
from recsys_spark.ingest.file_causes import DAMAGED, Cause, cause_of, charset_cause, column_of, file_of
from recsys_spark.ingest.files import named
from recsys_spark.ingest.names import suggestion, unquoted
from recsys_spark.spark.failures import JavaFailure, SparkFailure, java_message, messages
from recsys_spark.spark.files import listing

_CONTEXT_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
_N_NAMES_SHOWN = 30
_N_CHARACTERS = 300


@contextmanager
def quiet_query_log() -> Iterator[None]:
    """Keep PySpark from logging an error that becomes a SourceError; its log has a JVM stack trace."""
    # PySpark wants its own kind of logger under these names; whoever asks first decides the kind.
    loggers = [PySparkLogger.getLogger(name) for name in _CONTEXT_LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def explain_expression(error: Exception, text: str, *, where: str, columns: Sequence[str]) -> SourceError:
    """Return the SourceError of an expression that Spark refused; it may use the names in ``columns``."""
    condition, parameters = _condition(error), _parameters(error)
    bare = unquoted(text, columns)
    if bare is not None:
        return needs_backticks(bare, f"{text} ({_first_line(error)})" if text != bare else text, where=where)
    if isinstance(error, ParseException):
        return SourceError(
            "The expression is not valid Spark SQL",
            where=where,
            found=f"{text} ({_first_line(error)})",
            expected="one Spark SQL expression",
            action="Correct the syntax. Text inside an expression takes single quotes: 'like'.",
        )
    if condition.startswith("UNRESOLVED_COLUMN"):
        name = parameters.get("objectName", "").replace("`", "")
        return SourceError(
            f"Column `{name}` does not exist in the source",
            where=where,
            found=text,
            expected=f"one of {shown(columns)}",
            action=suggestion(name, columns),
        )
    if condition.startswith("UNRESOLVED_ROUTINE"):
        return SourceError(
            f"The SQL function {parameters.get('routineName', '')} does not exist",
            where=where,
            found=text,
            expected="a function of Spark SQL",
            action="Correct the name. All functions: https://spark.apache.org/docs/latest/api/sql/.",
        )
    actions = {
        "MISSING_GROUP_BY": "Add `group_by` to the source, or remove the aggregate.",
        "MISSING_AGGREGATION": "Use a column of `group_by`, or an aggregate such as collect_set(x) or max(x).",
        "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN": "Write a comparison, such as `rating >= 4`.",
    }
    return SourceError(
        "The expression cannot be evaluated over the source",
        where=where,
        found=f"{text} ({_first_line(error)})",
        expected="an expression over the source's columns",
        action=actions.get(condition, f"Correct the expression. The source has the columns {shown(columns)}."),
    )


def needs_backticks(name: str, found: str, *, where: str) -> SourceError:
    """Return the SourceError of an expression that names a column without the backticks it needs."""
    return SourceError(
        f"Column `{name}` is named without backticks",
        where=where,
        found=found,
        expected="a name of letters A to Z, digits and _, or a name in backticks",
        action=f"Write it in backticks: `{name}`.",
    )


def explain_table(error: Exception, spark: SparkSession, source: Source, *, where: str) -> SourceError:
    """Return the SourceError of a catalog table that Spark could not open."""
    table, condition = str(source.table), _condition(error)
    missing = condition in ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND", "UNSUPPORTED_FEATURE.CATALOG_OPERATION")
    return SourceError(
        "The catalog table does not exist" if missing else "The catalog table cannot be read",
        where=f"{where}.table",
        found=table if missing else f"{table} ({_first_line(error)})",
        expected="a table or view of the session's catalog",
        action=_table_hint(spark, table),
    )


def explain_files(error: Exception, spark: SparkSession, source: Source, *, where: str) -> SourceError:
    """Return the SourceError of a file or folder that Spark could not open."""
    at, condition = f"{where}.path", _condition(error)
    if condition.startswith("PATH_NOT_FOUND"):
        return SourceError(
            "The file or folder does not exist",
            where=at,
            found=source.path,
            expected="a file, a folder or a glob pattern that matches some",
            action="Correct the path. A relative path starts at the configuration file's folder.",
        )
    if condition.startswith("UNABLE_TO_INFER_SCHEMA"):
        return nothing_in(source, where=where)
    return explain_reading(error, spark, source, where=where)


def explain_reading(error: Exception, spark: SparkSession, source: Source, *, where: str) -> SourceError:
    """Return the SourceError of whatever Spark raises while it reads the rows of a source; it names source and file."""
    chain = messages(error)
    # Frames of a stack trace name classes that had no part in the failure.
    text = "\n".join(
        line for part in (*chain, str(error)) for line in part.splitlines() if not line.startswith("\tat ")
    )
    place = source.table if source.path is None else source.path
    file, column = file_of(text), column_of(text)
    cause = charset_cause(text, source) or cause_of(text)
    if cause is None:
        cause = Cause(
            "",
            "The source cannot be read",
            f"a readable table {place}" if source.path is None else f"readable files of format {source.format}",
            "Check that the files are complete and have that format, and check the `options` of the source.",
        )
    if file is None and cause.what == DAMAGED and source.path is not None:
        file = _damaged(spark, source)
    found = str(place) if file is None or _inside(file, str(place)) is False else file
    if column is not None:
        found = f"column `{column[0]}` is {column[2]} in {found}, and {column[1]} in other files"
    elif cause.said:
        found = f"{found} ({_short(chain[-1])})"
    return SourceError(
        cause.what,
        where=f"{where}.{'table' if source.path is None else 'path'}",
        found=found,
        expected=cause.expected,
        action=cause.action,
    )


def _damaged(spark: SparkSession, source: Source) -> str | None:
    """Return the first compressed file that cannot be read to its end; Spark does not say which one it was."""
    for path in listing(spark, str(source.path), source.options).paths:
        try:
            spark.read.text(path).count()
        except SparkFailure:
            return named([path])
    return None


def _inside(file: str, place: str) -> bool:
    """Whether a file that an error names may belong to the source: Spark also names files that it writes."""
    steady = place.partition("*")[0].partition("?")[0].partition("{")[0].partition("[")[0]
    start = steady.partition("://")[2].partition("/")[2] if "://" in steady else steady
    return start.strip("/") in file


def _short(message: str) -> str:
    """Return the message of a Java exception without its class, its file and all but its first line."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), message)
    line = re.sub(r"^(?:[\w$]+\.)+[\w$]+: ", "", line)
    return line.partition("; line ")[0].rstrip(";")[:_N_CHARACTERS]


def nothing_in(source: Source, *, where: str) -> SourceError:
    """Return the SourceError of a folder without data files, or of files without any column."""
    return SourceError(
        "The file or folder holds no data",
        where=f"{where}.path",
        found=source.path,
        expected=f"at least one {source.format} file with columns",
        action="Check that the export has run, and that the path names the folder of its files.",
    )


def shown(names: Sequence[str]) -> str:
    """Return the names for a message. Of a wide table only the first are shown."""
    cut = names[:_N_NAMES_SHOWN]
    return ", ".join(cut) + (f" ... ({len(names)} columns)" if len(names) > len(cut) else "")


def _table_hint(spark: SparkSession, table: str) -> str:
    database = table.rpartition(".")[0] or None
    try:
        known = [f"{database}.{t.name}" if database else t.name for t in spark.catalog.listTables(database)]
    except SparkFailure:
        return f"Correct the name. This session sees no database `{database}`."
    close = nearest(table, known)
    return f"Did you mean `{close}`?" if close else "Correct the name, or create the table."


def _condition(error: Exception) -> str:
    if isinstance(error, PySparkException):
        return error.getCondition() or ""
    return ""


def _parameters(error: Exception) -> dict[str, str]:
    return dict(error.getMessageParameters() or {}) if isinstance(error, PySparkException) else {}


def _first_line(error: Exception) -> str:
    """Return the message without plan and stack trace. Of a failed job it is the message of the Java exception."""
    text = java_message(error) if isinstance(error, JavaFailure) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].partition("; line ")[0].rstrip(";") if lines else type(error).__name__
