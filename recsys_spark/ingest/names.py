"""Names of a source's columns, and what to write where an expression has a wrong one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql.types import ArrayType, DataType, StringType, StructType

from recsys_spark.errors import nearest

_SPEAKING = ("name", "title", "label", "value", "tag", "id", "text")
"""Fields that most likely hold what a text column needs."""
_SEPARATORS = {";": ";", "\t": "\\t", "|": "|"}
"""Sign between the fields of a file -> how it is written in the configuration."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def unquoted(text: str, columns: Sequence[str]) -> str | None:
    """Return the column that an expression names without the backticks it needs; None where it names none.

    >>> unquoted("lower(user-id)", ["user-id", "ts"]), unquoted("lower(`user-id`)", ["user-id", "ts"])
    ('user-id', None)
    """
    bare = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", " ", text)
    odd = [name for name in columns if name.strip() and not _PLAIN.fullmatch(name)]
    found = [name for name in odd if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", bare, re.IGNORECASE)]
    return max(found, key=len, default=None)


def field(text: str, found: DataType) -> str | None:
    """Return an expression for one field of the objects that an expression gives; None where it gives no objects.

    >>> from pyspark.sql.types import StructField
    >>> field("tags", ArrayType(StructType([StructField("name", StringType())])))
    'tags.name'
    """
    inner = found.elementType if isinstance(found, ArrayType) else found
    if not isinstance(inner, StructType) or not inner.names:
        return None
    texts = [one.name for one in inner if isinstance(one.dataType, StringType)] or inner.names
    chosen = next((name for name in _SPEAKING if name in texts), texts[0])
    owner = text if re.fullmatch(r"[\w.`]+", text) else f"({text})"
    return f"{owner}.{chosen if _PLAIN.fullmatch(chosen) else f'`{chosen}`'}"


def suggestion(name: str, columns: Sequence[str]) -> str:
    """Return what to do where an expression has the column ``name``, which is not among the source's columns."""
    if columns and all(re.fullmatch(r"_c\d+", column) for column in columns):
        return 'The file is read without its header line; set options = { header = "true" }.'
    for sep, written in _SEPARATORS.items():
        if len(columns) == 1 and sep in columns[0]:
            return f'The fields seem to be separated by another sign; set options = {{ sep = "{written}" }}.'
    close = nearest(name, [column for column in columns if column != name])
    return f"Did you mean `{close}`?" if close else "Use a column that the source has."
