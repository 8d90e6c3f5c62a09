"""Types of columns for `inferSchema`: a column has a type where every value of it can be read in that type."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from recsys_spark.config.sources import Join, Source
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.opened import MALFORMED, read_by
from recsys_spark.ingest.row_checks import IDS
from recsys_spark.spark.expressions import quoted

_TYPES = ("int", "bigint", "double", "date", "timestamp", "boolean")
_EXACT = ("int", "bigint", "date", "boolean")
"""Types that a column has only if each value, written again, is the same text: `007` and `TRUE` stay text."""
_NO_NUMBER = "^[+-]?0[0-9]|[dDfF]$"
"""What Java reads as a number, and people do not write as one: `007` and `5d`."""
_FORMATS = (
    *("dateFormat", "timestampFormat", "timestampNTZFormat", "enableDateTimeParsingFallback", "locale"),
    *("nanValue", "positiveInf", "negativeInf", "preferDate"),
)


def inferred_types(rows: DataFrame, source: Source, form: Form) -> dict[str, DataType]:
    """Return the type of each column that is not text. ``rows`` have all columns as text; they are read once.

    Columns that make an id, join two tables or group rows stay text whatever they hold.
    """
    text = _text_columns(rows, source)
    names = [field.name for field in rows.schema if field.name != MALFORMED and field.name not in text]
    if not names:
        return {}
    given = {name: form.of(name) for name in _FORMATS if form.of(name)}
    as_csv = F.to_csv(F.struct(*(F.col(quoted(name)).alias(f"c{k}") for k, name in enumerate(names))))
    options = {**given, "mode": "PERMISSIVE", "escape": "\\"}
    parsed = {
        kind: F.from_csv(as_csv, ", ".join(f"c{k} {kind}" for k in range(len(names))), options).alias(kind)
        for kind in _TYPES
    }
    good = rows.where(F.col(MALFORMED).isNull()).select(
        "*", *(column.alias(f"__{kind}") for kind, column in parsed.items())
    )
    unlike = []
    for position, name in enumerate(names):
        value = F.col(quoted(name))
        unlike.append(F.count(value).alias(f"n{position}"))
        for kind in _TYPES:
            read = F.col(f"__{kind}.c{position}")
            fits = read.isNotNull()
            fits &= read.cast("string") == value if kind in _EXACT else F.lit(True)
            fits &= ~value.rlike(_NO_NUMBER) if kind == "double" else F.lit(True)
            unlike.append(F.count_if(value.isNotNull() & ~F.coalesce(fits, F.lit(False))).alias(f"{kind}{position}"))
    counts = good.agg(*unlike).collect()[0]
    found = {}
    for position, name in enumerate(names):
        fitting = [kind for kind in _TYPES if counts[f"n{position}"] and not counts[f"{kind}{position}"]]
        if fitting:
            found[name] = DataType.fromDDL(fitting[0])
    return found


def _text_columns(rows: DataFrame, source: Source) -> set[str]:
    keys = [*source.group_by, *(text for name, text in source.columns.items() if name in IDS)]
    if isinstance(source, Join):
        keys += [source.columns[name] for name in source.on if name in source.columns]
    names = {name for join in source.join for name in join.on}
    return names.union(*(read_by(rows, text) for text in keys))
