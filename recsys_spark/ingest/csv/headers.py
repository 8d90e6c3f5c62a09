"""Column names of CSV files, as each file's first record gives them, and files whose names differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.csv.records import MAX_LINES, is_blank
from recsys_spark.ingest.files import named
from recsys_spark.ingest.source_errors import shown

_LINE_ENDS = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Header:
    """What the beginning of a file says of its columns."""

    file: str
    """Its path as Spark writes it in `_metadata.file_path`: percent-encoded."""
    names: tuple[str, ...]
    """Names as Spark's reader gives them: `_c0`, `_c1` ... without a header."""
    text: str
    """The record that is the header; empty without one."""
    is_complete: bool
    """Whether the record ends within the bytes that were read."""

    def keys(self, *, with_case: bool) -> tuple[str, ...]:
        """Return the names as they are compared: without spaces around them, and mostly without case."""
        exact = tuple(name if with_case else name.lower() for name in self.names)
        stripped = tuple(name.strip() for name in exact)
        return stripped if len(set(stripped)) == len(exact) else exact


def header_of(file: str, content: bytes, form: Form, *, is_whole: bool, with_case: bool) -> Header | None:
    """Return the header of a file that begins with ``content``; None where it has no line that is not empty.

    ``is_whole``: the file has no more than these bytes.
    """
    text = form.decode(content)
    lines = text.split(form.line_sep) if form.line_sep else _LINE_ENDS.split(text)
    if not is_whole:
        lines = lines[:-1]  # cut off somewhere
    lines = [line for line in lines if not is_blank(line) and not (form.comment and line.startswith(form.comment))]
    if not lines:
        return None if is_whole else Header(file, (), "", is_complete=False)
    if not form.has_header:
        counts = Counter(form.dialect.scan(line).n_fields for line in lines if not form.dialect.scan(line).is_open)
        # The first row may be a bad one, so the count that most rows have decides.
        n_fields = counts.most_common(1)[0][0] if counts else form.dialect.scan(lines[0]).n_fields + 1
        return Header(file, tuple(f"_c{position}" for position in range(n_fields)), "", is_complete=True)
    record, is_complete = _first_record(lines, form)
    names = safe_names(form.dialect.values(record), null=form.of("nullValue"), with_case=with_case)
    return Header(file, names, record, is_complete or is_whole)


def _first_record(lines: Sequence[str], form: Form) -> tuple[str, bool]:
    """Return the first record, which may have several lines, and whether it ends among these lines."""
    is_open = form.dialect.scan(lines[0]).is_open
    if not is_open:
        return lines[0], True
    for position, line in enumerate(lines[1:MAX_LINES], start=1):
        scan = form.dialect.scan(line, inside=True)
        if not scan.is_strict:
            break
        if not scan.is_open:
            return (form.line_sep or "\n").join(lines[: position + 1]), True
    return lines[0], False


def safe_names(values: Iterable[str], *, null: str, with_case: bool) -> tuple[str, ...]:
    """Return unique names by the rules of Spark's reader: `_c1` for an empty one, `a0` and `a2` for two named `a`.

    >>> safe_names(["a", "", "A"], null="", with_case=False)
    ('a0', '_c1', 'A2')
    """
    values = list(values)
    counts = Counter(value if with_case else value.lower() for value in values)
    return tuple(
        f"_c{position}"
        if not value or value == null
        else f"{value}{position}"
        if counts[value if with_case else value.lower()] > 1
        else value
        for position, value in enumerate(values)
    )


def check_same(headers: Sequence[Header], source: Source, form: Form, *, where: str, with_case: bool) -> None:
    """Raise SourceError where the files have different columns, unless the source allows it.

    A first line is not a header where it has fewer than half of its names in common with the first file. Such a file
    is never allowed.
    """
    first = headers[0].keys(with_case=with_case)
    for header in headers[1:]:
        keys = header.keys(with_case=with_case)
        if sorted(keys) == sorted(first):
            continue
        is_alike = 2 * len(set(keys) & set(first)) >= min(len(set(keys)), len(set(first)))
        if source.columns_may_differ and is_alike:
            continue
        raise _differ(headers[0], header, form, source, where=where, is_alike=is_alike)


def _differ(one: Header, other: Header, form: Form, source: Source, *, where: str, is_alike: bool) -> SourceError:
    allow = "set columns_may_differ = true; a column that a file does not have is then null"
    if not form.has_header:
        return SourceError(
            "CSV files of one source have different numbers of columns",
            where=f"{where}.path",
            found=f"{path_of(one.file)} has {len(one.names)}; {path_of(other.file)} has {len(other.names)}",
            expected="the same number in every file",
            action=f"Write all files with the same columns, or {allow}.",
        )
    no_header = "Give each file a header line that names its columns, or move the file out of the folder."
    differ = "Write all files with the same columns"
    return SourceError(
        "CSV files of one source have different columns",
        where=f"{where}.path",
        found=f"{path_of(one.file)}: {_names(one)}; {path_of(other.file)}: {_names(other)}",
        expected="the same names in the first line of every file, in any order",
        action=no_header if not is_alike else f"{differ}, or {allow}.",
    )


def _names(header: Header) -> str:
    return shown([name if len(name) <= 40 else f"{name[:40]}..." for name in header.names])


def path_of(file: str) -> str:
    """Return a file's path for a message."""
    return named([unquote(file)])


def names_by_file(headers: Sequence[Header], *, with_case: bool) -> dict[str, tuple[str, ...]]:
    """Return the names of each file's columns, in its order, as the first file that has them spells them."""
    spelled: dict[str, str] = {}
    for header in headers:
        for key, name in zip(header.keys(with_case=with_case), header.names, strict=True):
            spelled.setdefault(key, name)
    return {header.file: tuple(spelled[key] for key in header.keys(with_case=with_case)) for header in headers}
