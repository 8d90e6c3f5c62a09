"""Files that are not text in the given encoding, found out from their first bytes."""

from __future__ import annotations

import codecs

from recsys_spark.errors import SourceError
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.csv.headers import path_of

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Marks at the beginning of a file. The longer ones come first, because one begins like another."""
_NOT_TEXT = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "ZIP (an Excel workbook is one)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "Parquet",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
}


def check_content(file: str, content: bytes, form: Form, *, where: str) -> None:
    """Raise SourceError where a file that begins with ``content`` cannot be read as text of the source's encoding."""
    kind = next((kind for mark, kind in _NOT_TEXT.items() if content.startswith(mark) and _is_binary(content)), None)
    if kind is not None:
        raise SourceError(
            "The CSV file is not text",
            where=f"{where}.path",
            found=f"{path_of(file)} begins like {kind}",
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
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if marked is not None or len(content) < 2:
        return marked
    even, odd = (content[start::2].count(0) / len(content[start::2]) for start in (0, 1))
    if max(even, odd) < 0.4:
        return None
    if min(even, odd) > 0.4:
        return "UTF-32"
    return "UTF-16BE" if even > odd else "UTF-16LE"


def _is_binary(content: bytes) -> bool:
    """Whether bytes have control characters that no text has. A column may well be named `ORC`."""
    return any(byte < 9 or 13 < byte < 32 for byte in content[:4096])
