"""Lines of JSON that hold more than Spark's reader takes from them.

The reader takes the first value of a line and leaves what follows it, without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

_SUSPECT = r"[}\]][\s\x00,]*[{\[]|[^}\],\s\x00][\s\x00,]*$"
"""Between two values, or at the end of a line that does not end with its value. Texts may hold it as well."""
_END = r"[\s\x00,]+$"


def has_more(lines: DataFrame, options: Mapping[str, str]) -> bool:
    """Return whether a line of ``lines`` (`value`) holds more than one value of JSON, or a value and other text."""
    first = F.from_json("value", "array<struct<any: string>>", dict(options)).isNotNull()
    return not lines.where(F.rlike("value", F.lit(_SUSPECT)) & first & ~_is_one(options)).isEmpty()


def rows_of(
    lines: DataFrame, fields: Sequence[StructField], options: Mapping[str, str], *, malformed: str
) -> DataFrame:
    """Return the rows of ``lines``: `value`, and columns of folders, which keep their values.

    ``fields`` are the columns of the rows. A line that is not exactly one object, or one array of objects, is in the
    column ``malformed``; that is null for all other rows.
    """
    folders = [name for name in lines.columns if name != "value"]
    objects = ArrayType(StructType([field for field in fields if field.name not in folders]))
    read = lines.where(F.rlike("value", F.lit(r"[^\s\x00]"))).withColumn(
        "__rows", F.when(_is_one(options), F.from_json("value", objects, dict(options)))
    )
    one = read.select(*folders, "value", "__rows", F.explode_outer("__rows").alias("__row"))
    columns = [F.col(field.name if field.name in folders else f"__row.`{field.name}`") for field in fields]
    text = F.when(F.col("__rows").isNull(), F.col("value")).alias(malformed)
    return one.select(*(column.alias(field.name) for column, field in zip(columns, fields, strict=True)), text)


def _is_one(options: Mapping[str, str]) -> Column:
    """Return whether a line is one value, perhaps with a comma after it."""
    listed = F.concat(F.lit("["), F.regexp_replace("value", _END, ""), F.lit("]"))
    return F.size(F.from_json(listed, ArrayType(StringType()), dict(options))).eqNullSafe(1)
