"""Values in the names of folders, as different programs write them."""

from __future__ import annotations

import re

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from recsys_spark.spark.expressions import partition_columns, quoted
from recsys_spark.spark.files import Listing

_ENCODED = re.compile(r"/[^/=]+=[^/]*%[89A-Fa-f][0-9A-Fa-f][^/]*/")
"""A folder NAME=VALUE whose value holds a byte of UTF-8 in percent encoding. Spark itself so encodes only ASCII."""


def decoded(rows: DataFrame, files: Listing) -> DataFrame:
    """Return the rows with the values that pandas and pyarrow wrote into names of folders.

    They write the bytes of UTF-8 in percent encoding, `%C3%A9` for `é`. Spark reads each byte as one character.
    """
    folders = partition_columns(rows)
    if not folders or not any(_ENCODED.search(path) for path in files.paths):
        return rows
    texts = [field.name for field in rows.schema if field.name in folders and isinstance(field.dataType, StringType)]
    return rows.withColumns({name: _decoded(F.col(quoted(name))) for name in texts})


def _decoded(value: Column) -> Column:
    # Values of other folders stay as they are: those in ASCII, and those that are not UTF-8 read byte by byte.
    raw = F.encode(F.when(value.rlike(r"^[\x00-\xff]*[\x80-\xff][\x00-\xff]*$"), value), "ISO-8859-1")
    return F.when(F.is_valid_utf8(raw.cast("string")), F.decode(raw, "UTF-8")).otherwise(value)
