"""What a contract column accepts: the type of its expression, and the values of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    AtomicType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    NullType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from recsys_spark.errors import SourceError
from recsys_spark.ingest.names import field
from recsys_spark.schema import Col, Table

MAX_ID_BYTES = 512
IDS = ("user_id", "item_id", "friend_id")
MEASURES = ("value", "weight")
_ACCEPTED: dict[str, tuple[type[DataType], ...]] = {
    "timestamp": (TimestampType, TimestampNTZType, DateType, StringType),
    "double": (NumericType, StringType),
    "boolean": (BooleanType, StringType),
}
NULL_WORDS = ("NULL", "null", "None", "none", "nan", "NaN", "NA", "N/A", "\\N", "undefined")
"""Ids that are served like any other, although a program most likely wrote them for a missing value."""
_REPLACEMENT = "\ufffd"
_BLANK = r"^[\s\p{Z}\p{Cc}\p{Cf}]*$"


def check_type(col: Col, found: DataType, text: str, *, where: str) -> None:
    """Raise SourceError where an expression of type ``found`` cannot become the contract column ``col``."""
    if _accepts(col, found):
        return
    expected, action = _expectation(col, found)
    part = field(text, found)
    if part is not None and not isinstance(col.type, MapType):
        lists = isinstance(found, ArrayType)
        wanted = part if lists == isinstance(col.type, ArrayType) else f"array({part})" if not lists else f"{part}[0]"
        action = f"Choose one field of the objects: {wanted}."
    raise SourceError(
        f"The expression of `{col.name}` has the wrong type",
        where=where,
        found=f"{text} is {found.simpleString()}",
        expected=expected,
        action=action,
    )


def _accepts(col: Col, found: DataType) -> bool:
    if isinstance(found, NullType):
        return col.nullable
    if isinstance(col.type, ArrayType):
        return isinstance(found, ArrayType) and isinstance(found.elementType, (AtomicType, NullType))
    if isinstance(col.type, MapType):
        return isinstance(found, MapType) and all(isinstance(t, AtomicType) for t in (found.keyType, found.valueType))
    if col.name in IDS and _has_fraction(found):
        return False
    # A text file has only strings, which are read as times, numbers and booleans where possible.
    return isinstance(found, _ACCEPTED.get(col.type.typeName(), AtomicType)) and not isinstance(found, BinaryType)


def _expectation(col: Col, found: DataType) -> tuple[str, str]:
    """Return what is expected and what to do where the type is wrong."""
    if col.name in IDS:
        # As text, 1.0 and 1 would be two users; above 2^53, two users would be one.
        fraction = "Write cast(cast(x as bigint) as string), or read the column as string."
        return "string or integer", fraction if _has_fraction(found) else "Use one column, or cast it to string."
    if isinstance(col.type, TimestampType) and isinstance(found, NumericType):
        epoch = "Write timestamp_seconds(x) for seconds since 1970, timestamp_millis(x) for milliseconds."
        return "timestamp, date or string", epoch
    return {
        "array": ("array<string>", "Write split(x, '[|]') for a list in one string, array(x) for one tag."),
        "map": ("map<string,string>", "Write map('brand', brand, 'level', level)."),
        "timestamp": ("timestamp, date or string", "Write to_timestamp(x, 'yyyy-MM-dd HH:mm:ss')."),
        "double": ("a number", "Write cast(x as double)."),
        "boolean": ("boolean", "Write a comparison, such as `stock > 0`."),
        "string": ("string", "Use one column, or array_join(x, ', ')."),
    }[col.type.typeName()]


def _has_fraction(found: DataType) -> bool:
    return isinstance(found, (FloatType, DoubleType)) or (isinstance(found, DecimalType) and found.scale > 0)


def typed(col: Col, raw: Column) -> Column:
    """Return ``raw`` in the contract column's type. A value that cannot be read becomes null and does not fail the
    job."""
    return raw.try_cast(col.type)


def reason_raised(name: str) -> str:
    """Return the reason for a row on which the expression of a contract column raises an exception."""
    return "bad_id" if name in IDS else "bad_ts" if name == "ts" else "bad_value"


def rejection_reason(table: Table, *, now: datetime) -> Column:
    """Return the first reason why a row is rejected; null where it is accepted.

    Reads the typed contract columns and, for `value`, `weight` and `available`, the raw columns `raw_NAME`. A value
    that is present but cannot be read is bad; a missing value is not.
    """
    present = set(table.names)
    ids = [F.col(name) for name in IDS if name in present]
    reasons = [
        (_any([i.isNull() for i in ids]), "null_id"),
        (_any([_is_blank(i) for i in ids]), "empty_id"),
        (_any([~F.is_valid_utf8(i) | i.contains(_REPLACEMENT) for i in ids]), "bad_encoding"),
        (_any([F.octet_length(i) > MAX_ID_BYTES for i in ids]), "id_too_long"),
    ]
    if "friend_id" in present:
        reasons.append((F.col("user_id") == F.col("friend_id"), "self_relation"))
    if "ts" in present:
        reasons.append((F.col("ts").isNull(), "bad_ts"))
        reasons.append((F.col("ts") >= F.lit(now), "future_ts"))
    if "behaviour" in present:
        reasons.append((F.col("behaviour").isNull() | _is_blank(F.col("behaviour")), "null_behaviour"))
    for name in MEASURES:
        if name in present:
            smallest_bad = F.col(name) <= 0 if name == "weight" else F.col(name) < 0
            infinite = F.isnan(name) | (F.col(name) == F.lit(float("inf")))
            reasons.append((smallest_bad | infinite | _unreadable(name), "bad_value"))
    if "available" in present:
        reasons.append((_unreadable("available"), "bad_value"))
    return F.coalesce(*(F.when(condition, F.lit(reason)) for condition, reason in reasons))


def null_word(names: Iterable[str]) -> Column:
    """Return the name of the first id that is one of ``NULL_WORDS``; null where none is."""
    longest = max(map(len, NULL_WORDS))
    odd = {i: (F.octet_length(i) <= longest) & F.col(i).isin(*NULL_WORDS) for i in IDS if i in set(names)}
    return F.coalesce(*(F.when(condition, F.lit(i)) for i, condition in odd.items()), F.lit(None).cast("string"))


def _is_blank(text: Column) -> Column:
    # The first character alone shows it for almost every text, at a tenth of the cost of the pattern.
    return ~F.ascii(text).between(ord("!"), ord("~")) & text.rlike(_BLANK)


def _unreadable(name: str) -> Column:
    return F.col(name).isNull() & F.col(f"raw_{name}").isNotNull()


def _any(conditions: list[Column]) -> Column:
    met = conditions[0]
    for condition in conditions[1:]:
        met = met | condition
    return met
