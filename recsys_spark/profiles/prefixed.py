"""The text that an encoder reads: a profile's text with the prefix of its side, and the hash that identifies it."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def prefixed(prefix: str) -> Column:
    """Return column `text` with ``prefix`` before it; null where the text is null."""
    return F.concat(F.lit(prefix), F.col("text"))


def content_hash(prefix: str) -> Column:
    """Return the sha256 of :func:`prefixed` in hex, the key into the embeddings; null where the text is null."""
    return F.sha2(prefixed(prefix), 256)
