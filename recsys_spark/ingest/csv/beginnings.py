"""The first bytes of every CSV file, and the header in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.contents import PACKED
from recsys_spark.ingest.csv.content import check_content
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.csv.headers import Header, header_of, path_of
from recsys_spark.ingest.files import one_slash
from recsys_spark.spark.files import first_bytes
from recsys_spark.spark.filesystem import FileSystem

N_BYTES, MANY_BYTES = 2**14, 2**20
"""First bytes in which the header is looked for: at first, and where they do not suffice."""


@dataclass(frozen=True)
class Beginnings:
    """Reads the headers of the files of a source."""

    spark: SparkSession
    source: Source
    form: Form
    where: str
    with_case: bool

    def headers(self, uris: Sequence[str]) -> list[Header]:
        """Return the headers of the files in the order of their paths; none for a file without lines.

        Raises SourceError where a file is not text, has another encoding, or a first line without end.
        """
        files = sorted(map(one_slash, uris))
        plain = [file for file in files if not file.lower().endswith(PACKED)]
        begun = dict(zip(plain, first_bytes(self.spark, list(map(unquote, plain)), N_BYTES), strict=True))
        found = [self._header(file, begun.get(file)) for file in files]
        return [header for header in found if header is not None]

    def _header(self, file: str, content: bytes | None) -> Header | None:
        content = self._head(file, N_BYTES) if content is None else content
        check_content(file, content, self.form, where=self.where)
        header = self._parsed(file, content, is_whole=len(content) < N_BYTES)
        if header is None or header.is_complete:
            return header
        content = self._head(file, MANY_BYTES)
        header = self._parsed(file, content, is_whole=len(content) < MANY_BYTES)
        if header is None or header.names:
            return header
        raise SourceError(
            "The first line of a CSV file does not end",
            where=f"{self.where}.path",
            found=f"{path_of(file)}: no line ends in its first {MANY_BYTES:,} bytes",
            expected="rows that end with a line break",
            action="Check the file. Where rows end in another way, set options = { lineSep = ... }.",
        )

    def _parsed(self, file: str, content: bytes, *, is_whole: bool) -> Header | None:
        return header_of(file, content, self.form, is_whole=is_whole, with_case=self.with_case)

    def _head(self, file: str, n_bytes: int) -> bytes:
        return FileSystem(self.spark).head(file, n_bytes, self.source.options)
