"""The options of a CSV source, as Spark's reader understands them, and what is passed on to it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import SparkSession

from recsys_spark.errors import SourceError
from recsys_spark.ingest.csv.dialect import BACKSLASH, Dialect
from recsys_spark.ingest.opened import MALFORMED

_OF_FILES = (
    *("pathGlobFilter", "recursiveFileLookup", "modifiedBefore", "modifiedAfter", "basePath", "ignoreCorruptFiles"),
    *("ignoreMissingFiles", "lineSep", "compression"),
)
"""Options that say which files are read, and where their lines end."""
_OURS = (
    "mode",
    "columnNameOfCorruptRecord",
    "enforceSchema",
    "inferSchema",
    "samplingRatio",
    "multiLine",
    "columnPruning",
)
"""Options that mean something else here, or that the reader sets itself."""
_ESCAPED = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\b": "\b", "\\f": "\f", '\\"': '"', "\\'": "'", "\\\\": "\\"}
_SPARKS_CHARSETS = ("iso-8859-1", "us-ascii", "utf-16", "utf-16be", "utf-16le", "utf-32", "utf-8")
_JAVA_CHARSETS = "spark.sql.legacy.javaCharsets"


@dataclass(frozen=True)
class Form:
    """What the options of a source say of its files. Names of options are compared without case, as Spark does."""

    given: Mapping[str, str]

    def of(self, *names: str, default: str = "") -> str:
        """Return the first of the options that is given."""
        known = {key.lower(): value for key, value in self.given.items()}
        return next((known[name.lower()] for name in names if name.lower() in known), default)

    def says(self, name: str) -> bool:
        """Return whether an option is "true"."""
        return self.of(name).strip().lower() == "true"

    @cached_property
    def dialect(self) -> Dialect:
        """The form of a row. Quotes in quoted fields are doubled, unless the options say otherwise."""
        sep = self.of("sep", "delimiter", default=",")
        quote = self.of("quote", default='"')
        escape = self.of("escape", default=quote)
        return Dialect(
            sep=_ESCAPED.get(sep, sep),
            quote=quote.strip("\0"),
            escape=escape.strip("\0"),
            skips_spaces=self.says("ignoreLeadingWhiteSpace"),
        )

    @property
    def finds_escape(self) -> bool:
        """Whether the files show how a quote inside a quoted field is written; the options do not say it."""
        known = {key.lower() for key in self.given}
        return bool(self.dialect.quote) and self.dialect.quote != BACKSLASH and "escape" not in known

    @property
    def has_header(self) -> bool:
        """Whether the first line of each file names its columns."""
        return self.says("header")

    @property
    def comment(self) -> str:
        """What a line begins with that is left out; empty for none."""
        return self.of("comment").strip("\0")

    @cached_property
    def encoding(self) -> str:
        """How characters are written as bytes."""
        return self.of("encoding", "charset", default="UTF-8")

    @property
    def is_wide(self) -> bool:
        """Whether one character takes several bytes, so that a byte 10 is not always the end of a line."""
        return self.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))

    @property
    def line_sep(self) -> str:
        """What ends a line; empty for any of the usual ways."""
        sep = self.of("lineSep")
        return _ESCAPED.get(sep, sep)

    def decode(self, content: bytes) -> str:
        """Return bytes of a file as text, without a mark at the beginning."""
        return content.decode(self._codec(content), errors="replace").removeprefix("\ufeff")

    def _codec(self, content: bytes) -> str:
        name = self._codec_name
        has_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
        return f"{name}-be" if name in ("utf-16", "utf-32") and not has_mark else name

    @cached_property
    def _codec_name(self) -> str:
        return self.encoding.lower().replace("_", "-")

    def of_files(self) -> dict[str, str]:
        """Return the options with which Spark's text reader finds the same files and lines."""
        return {name: self.of(name) for name in _OF_FILES if self.of(name)}

    def of_reader(self, dialect: Dialect) -> dict[str, str]:
        """Return the options of Spark's CSV reader for files of a dialect. A row of another form keeps its text."""
        taken_out = {name.lower() for name in (*_OURS, "escape")}
        kept = {key: value for key, value in self.given.items() if key.lower() not in taken_out}
        return {
            **kept,
            "escape": dialect.escape or "\0",
            "mode": "PERMISSIVE",
            "columnNameOfCorruptRecord": MALFORMED,
            "enforceSchema": "true",
            "multiLine": str(self.is_wide).lower(),
            # Where Spark skips columns that nobody reads, it does not count the fields of a row.
            "columnPruning": "false",
        }

    def of_records(self, dialect: Dialect) -> dict[str, str]:
        """Return the options of from_csv for the text of one row, which may have several lines."""
        taken_out = ("encoding", "charset", "comment", "linesep", "header", *map(str.lower, _OF_FILES))
        return {key: value for key, value in self.of_reader(dialect).items() if key.lower() not in taken_out}


def check_encoding(spark: SparkSession, form: Form, *, where: str) -> None:
    """Raise SourceError where the encoding is not known, or Spark 4 does not take it without a setting."""
    try:
        codecs.lookup(form.encoding)
        is_known = True
    except LookupError:
        is_known = False
    by_setting = str(spark.conf.get(_JAVA_CHARSETS, "false")).lower() == "true"
    if is_known and (by_setting or form.encoding.lower() in _SPARKS_CHARSETS):
        return
    usual = {"latin1": "ISO-8859-1", "latin-1": "ISO-8859-1", "utf8": "UTF-8", "ascii": "US-ASCII"}
    instead = usual.get(form.encoding.lower())
    java = f'Set "{_JAVA_CHARSETS}" = "true" in [spark], or write the files in UTF-8.'
    raise SourceError(
        "The encoding cannot be read" if is_known else "The encoding is not known",
        where=f"{where}.path",
        found=form.encoding,
        expected=f"one of {', '.join(name.upper() for name in _SPARKS_CHARSETS)}",
        action=f'Write encoding = "{instead}".' if instead else java if is_known else "Write its usual name.",
    )
