"""Parquet and ORC files as one table: their footers are compared before a row is read, and nanoseconds become times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.files import in_one_place, named, option
from recsys_spark.ingest.opened import Opened, used
from recsys_spark.ingest.settings import own_setting
from recsys_spark.spark.expressions import partition_columns, quoted
from recsys_spark.spark.files import Listing
from recsys_spark.spark.footers import FileColumn, Footers, orc_footers, parquet_footers

_WIDER: tuple[tuple[type[DataType], ...], ...] = (
    (ByteType, ShortType, IntegerType, LongType),
    (FloatType, DoubleType),
    (TimestampNTZType, TimestampType),
)
"""Types that Spark's reader turns into the last of them without a loss."""
_AS_LONG = "spark.sql.legacy.parquet.nanosAsLong"


@dataclass(frozen=True)
class _Everywhere:
    """A column as all files have it."""

    variants: dict[FileColumn, list[str]]
    """Column -> the files that have it so."""
    lacking: list[str]
    """Files that do not have it."""
    doubled: str | None
    """Both spellings, where one file has it in two."""

    @property
    def name(self) -> str:
        return next(iter(self.variants)).name

    @property
    def nanoseconds(self) -> str | None:
        """The type of timestamp that stands for the column's nanoseconds; None for another column."""
        return _nanoseconds(next(iter(self.variants)))

    def type(self) -> DataType | None:
        """Return the type in which all files can be read; None where there is none."""
        if len({_nanoseconds(column) is None for column in self.variants}) > 1:
            return None
        return _common([_type(column) for column in self.variants])


def open_columnar(spark: SparkSession, source: Source, files: Listing, where: str) -> Opened:
    """Return the rows of Parquet or ORC files. Raises SourceError where a used column cannot be read from all of them.

    Columns that no expression uses may differ freely: they are left out where they cannot be read.
    """
    form = str(source.format)
    footers = parquet_footers(spark, files) if form == "parquet" else orc_footers(spark, files)
    if footers.unreadable and option(source, "ignoreCorruptFiles") != "true":
        raise _unreadable(footers, form, where=where)
    columns = _compared(footers, exact=spark.conf.get("spark.sql.caseSensitive", "false") == "true")
    reader, path = spark.read.format(form).options(**source.options), str(source.path)
    # No row is read of these: they only tell which columns the expressions use.
    every = StructType([StructField(c.name, c.type() or StringType()) for c in columns])
    rows = reader.schema(every).load(path)
    folders = partition_columns(rows)
    needed = used(rows, source)
    in_one_place(folders, [c.name for c in columns], needed, files.paths[0], where=where)
    for column in columns:
        if column.name.lower() in needed:
            _check(column, merged=_may_differ(spark, source), where=where)
    readable = [c for c in columns if c.type() is not None and not c.doubled and c.name not in folders]
    rows = reader.schema(StructType([StructField(c.name, c.type() or StringType()) for c in readable])).load(path)
    nanoseconds = {c.name: kind for c in readable if (kind := c.nanoseconds)}
    if nanoseconds and own_setting(spark, _AS_LONG) != "true":
        rows = rows.select(*(_moment(name, nanoseconds.get(name)) for name in rows.columns))
    return Opened(rows, n_rows=None if footers.unreadable else footers.n_rows)


def _compared(footers: Footers, *, exact: bool) -> list[_Everywhere]:
    """Return the columns of all files, in the order in which the files have them."""
    groups: dict[tuple[FileColumn, ...], list[str]] = {}
    for path, columns in footers.columns.items():
        groups.setdefault(columns, []).append(path)
    keys: dict[str, _Everywhere] = {}
    for columns, paths in groups.items():
        seen: dict[str, str] = {}
        for column in columns:
            key = column.name if exact else column.name.lower()
            found = keys.setdefault(key, _Everywhere({}, [], None))
            found.variants.setdefault(column, []).extend(paths)
            if key in seen:
                keys[key] = _Everywhere(found.variants, [], f"`{seen[key]}` and `{column.name}`")
            seen[key] = column.name
    for found in keys.values():
        has = {path for paths in found.variants.values() for path in paths}
        found.lacking.extend(path for path in footers.columns if path not in has)
    return list(keys.values())


def _type(column: FileColumn) -> DataType | None:
    """Return the type in which Spark reads a column; None where it cannot, or would read something else."""
    nested = " group " in f" {column.stored}"
    if column.type is None or column.type.simpleString().startswith("time("):
        return None
    return None if nested and "TIMESTAMP(NANOS" in column.stored else column.type


def _nanoseconds(column: FileColumn) -> str | None:
    if "(TIMESTAMP(NANOS" not in column.stored:
        return None
    return "timestamp" if "NANOS,true" in column.stored else "timestamp_ntz"


def _common(types: Sequence[DataType | None]) -> DataType | None:
    first = types[0]
    if all(one == first for one in types):
        return first
    for family in _WIDER:
        if all(isinstance(one, family) for one in types):
            return family[-1]()
    return None


def _check(column: _Everywhere, *, merged: bool, where: str) -> None:
    """Raise SourceError where a column that is used cannot be read from all files."""
    at, name = f"{where}.path", column.name
    if column.doubled:
        raise SourceError(
            f"A file has the columns {column.doubled}, which differ in case only",
            where=at,
            found=named(next(iter(column.variants.values()))),
            expected="names that differ apart from their case",
            action="Write the file with one of them, or with other names.",
        )
    if column.type() is None and (len(column.variants) == 1 or None in map(_type, column.variants)):
        unknown = next(one for one in column.variants if _type(one) is None or len(column.variants) == 1)
        raise SourceError(
            f"Spark cannot read the type of column `{name}`",
            where=at,
            found=f"{unknown.stored} in {named(column.variants[unknown])}",
            expected="a type that Spark reads, such as string, int64, double or timestamp[us]",
            action="Write the column in another type. In pandas: astype('float32'), astype('datetime64[us]') or str.",
        )
    if column.type() is None:
        raise SourceError(
            f"Column `{name}` has different types in the files",
            where=at,
            found="; ".join(f"{_said(one)} in {named(paths[:1])}" for one, paths in column.variants.items()),
            expected="one type in all files",
            action="Write the files again with one type, or give each kind of file a source of its own.",
        )
    if column.lacking and not merged:
        raise SourceError(
            f"Column `{name}` is not in all files",
            where=at,
            found=f"not in {named(column.lacking)}; in {named(next(iter(column.variants.values()))[:1])}",
            expected="every column that an expression uses in every file",
            action="Set columns_may_differ = true in the source (or its option mergeSchema): a file without the column "
            "then has null in it.",
        )


def _said(column: FileColumn) -> str:
    if "UNKNOWN" in column.stored:
        return "void (only nulls)"
    if "NANOS" in column.stored:
        return "timestamp in nanoseconds"
    return column.type.simpleString() if column.type is not None else column.stored


def _may_differ(spark: SparkSession, source: Source) -> bool:
    merge = option(source, "mergeSchema") or spark.conf.get(f"spark.sql.{source.format}.mergeSchema", "false")
    return source.columns_may_differ or str(merge).lower() == "true"


def _moment(name: str, kind: str | None) -> Column:
    column = quoted(name)
    if kind is None:
        return F.col(column)
    # `div` cuts towards zero; before 1970 that would be the next microsecond.
    micros = F.expr(f"timestamp_micros(({column} - pmod({column}, 1000)) div 1000)")
    return micros.cast(kind).alias(name)


def _unreadable(footers: Footers, form: str, *, where: str) -> SourceError:
    paths = sorted(footers.unreadable)
    reason = footers.unreadable[paths[0]].removeprefix(paths[0]).strip()
    return SourceError(
        f"A file is not a complete file of format {form}",
        where=f"{where}.path",
        found=f"{named(paths)}: {reason}",
        expected=f"files of format {form} with a footer, which is written last",
        action="Copy or write the file again. If it is not part of the table, move it to another folder.",
    )
