"""How the files of a source begin: a file that is not the text it should be is refused before Spark takes it for rows.

Spark's readers of text accept any bytes. They read a file `.bz2` that is not bzip2 as no rows at all, and a wrong
`.snappy` fills the memory.
"""

from __future__ import annotations

import bz2
import codecs
import zlib
from collections.abc import Mapping, Sequence

from pyspark.sql import SparkSession

from recsys_spark.errors import SourceError
from recsys_spark.ingest.files import named
from recsys_spark.spark.files import Listing, first_bytes

N_BYTES = 4096
_KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip, or a workbook of Excel"),
    (b"\xd0\xcf\x11\xe0", "an old workbook of Excel"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7z"),
    (b"\x1f\x9d", "compress"),
    (b"PAR1", "Parquet"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"SQLite format 3", "SQLite"),
    (b"%PDF", "PDF"),
)
_UNPACKED = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
_BLOCKS = (".snappy", ".lz4", ".deflate")
"""Endings of compressed files whose first bytes are a length or a header, but never text."""
PACKED = (*_UNPACKED, *_BLOCKS)
"""Endings of compressed files that Spark unpacks."""
WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Marks at the beginning of a file. The longer ones come first, because one begins like another."""


def check_compressed(spark: SparkSession, files: Listing, *, where: str) -> dict[str, bytes]:
    """Return the beginnings of the compressed files. Raises SourceError where one is not what its ending says."""
    packed = _with_content(files, compressed=True)
    begun = dict(zip(packed, first_bytes(spark, packed, N_BYTES), strict=True))
    wrong = [path for path, content in begun.items() if not _is_packed(path, content)]
    if wrong:
        raise SourceError(
            "A file is not compressed as its ending says",
            where=f"{where}.path",
            found=f"{named(wrong)}, which is {kind_of(begun[wrong[0]]) or 'not compressed so'}",
            expected=f"the ending of the content, such as {', '.join(_UNPACKED)}, or none for text",
            action="Give the file the ending of its content, or copy it again.",
        )
    return begun


def beginnings(spark: SparkSession, files: Listing, *, wide: bool, where: str) -> dict[str, str]:
    """Return the first characters of each file, as far as they can be told without Spark.

    ``wide``: whether the source says that its files are in UTF-16 or UTF-32. Raises SourceError where a file is not
    text in UTF-8, or in another encoding of bytes.
    """
    begun = {path: _unpacked(path, content) for path, content in check_compressed(spark, files, where=where).items()}
    plain = _with_content(files, compressed=False)
    begun |= dict(zip(plain, first_bytes(spark, plain, N_BYTES), strict=True))
    _refuse_foreign({path: kind for path, content in begun.items() if (kind := kind_of(content))}, where=where)
    if not wide:
        _refuse_wide([path for path, content in begun.items() if _is_wide(content)], where=where)
    return {path: content.decode("utf-8-sig", errors="replace") for path, content in sorted(begun.items())}


def kind_of(content: bytes) -> str | None:
    """Return the format of a file that is not text, by its first bytes; None for text.

    >>> kind_of(b"PAR1\\x15\\x04"), kind_of(b"PAR1,PAR2\\n1,2\\n"), kind_of(b"ORC\\n")
    ('Parquet', None, None)
    """
    binary = any(byte < 9 or 13 < byte < 32 or byte > 126 for byte in content[:64])
    return next((kind for start, kind in _KINDS if content.startswith(start) and (binary or kind == "PDF")), None)


def _with_content(files: Listing, *, compressed: bool) -> list[str]:
    sizes = zip(files.paths, files.n_bytes, strict=True)
    return [path for path, size in sizes if size and path.lower().endswith(PACKED) == compressed]


def _is_packed(path: str, content: bytes) -> bool:
    ending = "." + path.lower().rpartition(".")[2]
    if ending in _UNPACKED:
        return kind_of(content) == _UNPACKED[ending] or (ending == ".zst" and content[1:4] == b"*M\x18")
    return kind_of(content) is None and any(byte < 9 or byte > 126 for byte in content[:4])


def _unpacked(path: str, content: bytes) -> bytes:
    """Return the beginning of what a compressed file holds; nothing where this process cannot tell."""
    try:
        if path.lower().endswith(".gz"):
            return zlib.decompressobj(31).decompress(content)
        if path.lower().endswith(".bz2"):
            return bz2.BZ2Decompressor().decompress(content)
    except (OSError, zlib.error):
        pass
    return b""


def _is_wide(content: bytes) -> bool:
    """Whether text is in UTF-16 or UTF-32: it begins with their mark, or every second of its first bytes is 0."""
    return content.startswith(tuple(WIDE)) or (
        len(content) >= 4 and 0 in (content[0], content[1]) and content.count(0) > 1
    )


def _refuse_foreign(kinds: Mapping[str, str], *, where: str) -> None:
    if kinds:
        path, kind = next(iter(kinds.items()))
        raise SourceError(
            "A file is not text",
            where=f"{where}.path",
            found=f"{named([path])} is {kind}",
            expected="text, or text in .gz, .bz2 or .zst",
            action="Set the `format` that the files have, unpack them, or move the file to another folder.",
        )


def _refuse_wide(paths: Sequence[str], *, where: str) -> None:
    if paths:
        raise SourceError(
            "A file is in UTF-16 or UTF-32",
            where=f"{where}.path",
            found=named(paths),
            expected="text in UTF-8",
            action="Save the file as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`.",
        )
