"""Files that are not text in the given encoding, found out from their first bytes."""

from __future__ import annotations

from recsys_spark.errors import SourceError
from recsys_spark.ingest.contents import WIDE, kind_of
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.csv.headers import path_of


def check_content(file: str, content: bytes, form: Form, *, where: str) -> None:
    """Raise SourceError where a file that begins with ``content`` cannot be read as text of the source's encoding."""
    kind = kind_of(content)
    if kind is not None:
        raise SourceError(
            "The CSV file is not text",
            where=f"{where}.path",
            found=f"{path_of(file)} is {kind}",
            expected="text with one row per line",
            action="Export it as CSV. A compressed file needs the ending of its compression, such as .csv.gz.",
        )
    found = wide_encoding(content)
    is_narrow = found is not None and not form.is_wide
    is_wide = found is None and form.is_wide and b"\0" not in content
    if is_narrow or is_wide:
        seen = f"{path_of(file)} begins like {found}" if found else f"{path_of(file)} has no zero byte"
        raise SourceError(
            "The CSV file has another encoding than the source says",
            where=f"{where}.path",
            found=f"{seen}; the source is read as {form.encoding}",
            expected=found or "the encoding of the file, such as UTF-8",
            action=f'Set options = {{ encoding = "{found}" }}.' if found else 'Leave out `encoding`, or say "UTF-8".',
        )


def wide_encoding(content: bytes) -> str | None:
    """Return the encoding of text with two or four bytes a character, by its mark or by its zero bytes.

    >>> wide_encoding("a,b".encode("utf-16")), wide_encoding("a,b".encode("utf-16-be")), wide_encoding(b"a,b")
    ('UTF-16', 'UTF-16BE', None)
    """
    marked = next((name for mark, name in WIDE.items() if content.startswith(mark)), None)
    if marked is not None or len(content) < 2:
        return marked
    even, odd = (content[start::2].count(0) / len(content[start::2]) for start in (0, 1))
    if max(even, odd) < 0.4:
        return None
    if min(even, odd) > 0.4:
        return "UTF-32"
    return "UTF-16BE" if even > odd else "UTF-16LE"
