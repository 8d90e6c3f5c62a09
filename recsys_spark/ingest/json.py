"""JSON as one table: a line that does not parse becomes a row with its text, and other layouts are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructField, StructType

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.contents import beginnings
from recsys_spark.ingest.files import named, option
from recsys_spark.ingest.json_lines import has_more, rows_of
from recsys_spark.ingest.opened import MALFORMED, Opened, read_by, used
from recsys_spark.ingest.row_checks import IDS
from recsys_spark.spark.expressions import quoted
from recsys_spark.spark.files import Listing, file_columns, json_columns

_SPREAD = ("[", "{", "[{")
"""First lines of JSON that is spread over lines."""
_NEXT = r"[}\]][\s\x00]*\n[\s\x00]*[{\[]"
"""The end of one value and the begin of the next without a comma. Texts of JSON have no line breaks inside."""
_OBJECT = r'^(\{("|\}$)|\[["{])'
"""The begin of an object or an array, as Spark writes them into a column of texts."""
_CASE = "spark.sql.caseSensitive"


def open_json(spark: SparkSession, source: Source, files: Listing, where: str) -> Opened:
    """Return the rows of JSON files, one object a line, or one array or object a file with the option multiLine."""
    wide = option(source, "encoding").upper().startswith(("UTF-16", "UTF-32"))
    begun = beginnings(spark, files, wide=wide, where=where)
    if option(source, "multiLine").lower() == "true":
        _refuse_several(spark, source, where=where)
    elif not option(source, "lineSep"):
        _refuse_spread(begun, where=where)
    options = {**_without(source.options, "mode", "columnnameofcorruptrecord"), "columnNameOfCorruptRecord": MALFORMED}
    if option(source, "mode").upper() == "FAILFAST":
        options["mode"] = "FAILFAST"
    fields, in_files = _inferred(spark, source, options, where=where)
    columns = [field for field in fields if field.name != MALFORMED]
    if not columns and fields:
        raise SourceError(
            "No line of the files is an object of JSON",
            where=f"{where}.path",
            found=_first_line(begun),
            expected='lines such as {"user_id": "u1", "item_id": "i1"}',
            action='Check `format`. JSON over several lines needs options = { multiLine = "true" }.',
        )
    if not columns:
        return Opened(spark.createDataFrame([], StructType([])))
    schema = StructType([*columns, StructField(MALFORMED, StringType())])
    rows = spark.read.schema(schema).options(**options).json(str(source.path))
    if _is_lines(source):
        lines, chosen = _texts(spark, source), _without(options, "mode")
        if has_more(lines, chosen):
            rows = rows_of(lines, columns, chosen, malformed=MALFORMED)
    rows = _without_objects_as_ids(rows, source)
    return Opened(_with_own_name(spark, rows, source), MALFORMED, in_files=in_files)


def _is_lines(source: Source) -> bool:
    """Return whether each line of the files is a value, as far as one can tell from the options."""
    encoding = (option(source, "encoding") or option(source, "charset")).upper().replace("-", "")
    return option(source, "multiLine").lower() != "true" and not option(source, "lineSep") and encoding in ("", "UTF8")


def _without_objects_as_ids(rows: DataFrame, source: Source) -> DataFrame:
    """Return the rows; one that has an object or an array where others have an id is malformed.

    Spark reads such a column as text, and writes the object as JSON.
    """
    texts = {field.name for field in rows.schema if isinstance(field.dataType, StringType)} - {MALFORMED}
    keys = {name.lower() for column, text in source.columns.items() if column in IDS for name in read_by(rows, text)}
    odd = [F.col(quoted(name)).rlike(_OBJECT) for name in sorted(texts) if name.lower() in keys]
    if not odd:
        return rows
    whole = F.to_json(F.struct(*(F.col(quoted(name)) for name in rows.columns if name != MALFORMED)))
    is_odd = reduce(Column.__or__, (F.coalesce(one, F.lit(False)) for one in odd))
    return rows.withColumn(MALFORMED, F.coalesce(MALFORMED, F.when(is_odd, whole)))


def _inferred(
    spark: SparkSession, source: Source, options: Mapping[str, str], *, where: str
) -> tuple[list[StructField], frozenset[str]]:
    """Return the columns that can be read, with MALFORMED where a row does not parse, and the files' own columns."""
    # Otherwise `u` of one row and `U` of another were one column, which has nothing but null in the second row.
    with _exact_names(spark) as was_exact:
        try:
            rows = spark.read.options(**options).json(str(source.path))
            fields, in_files = rows.schema, file_columns(rows)
        except AnalysisException as error:
            if error.getCondition() != "COLUMN_ALREADY_EXISTS" or option(source, "multiLine").lower() == "true":
                raise
            # One key twice in one row: the last counts, as in other readers. The other rows have the same columns.
            keys = "json_object_keys(value)"
            once = _texts(spark, source).where(f"coalesce(size(array_distinct({keys})) = size({keys}), true)")
            fields = json_columns(once.select("value"), options)
            in_files = frozenset(fields.names)
    if was_exact:
        return list(fields), in_files
    alike = {names[0].partition(".")[0].lower(): names for names in _alike(fields)}
    first = {field.name.lower(): field for field in reversed(fields.fields)}
    plain = StructType([StructField(field.name, StringType()) for field in first.values()])
    for name in sorted(used(spark.createDataFrame([], plain), source) & set(alike)):
        _refuse_alike(spark, source, alike[name], where=where)
    return [field for field in fields if field.name.lower() not in alike], in_files


@contextmanager
def _exact_names(spark: SparkSession) -> Iterator[bool]:
    """Let names differ by their case inside the block. Yields whether they did so before."""
    before = str(spark.conf.get(_CASE, "false"))
    spark.conf.set(_CASE, "true")
    try:
        yield before == "true"
    finally:
        spark.conf.set(_CASE, before)


def _alike(found: DataType, inside: str = "") -> Iterator[list[str]]:
    """Yield the names that differ in case only, those inside objects with the names of the objects."""
    if isinstance(found, ArrayType):
        yield from _alike(found.elementType, inside)
    if isinstance(found, StructType):
        groups: dict[str, list[str]] = {}
        for field in found:
            groups.setdefault(field.name.lower(), []).append(f"{inside}{field.name}")
            yield from _alike(field.dataType, f"{inside}{field.name}.")
        yield from (sorted(names) for names in groups.values() if len(names) > 1)


def _texts(spark: SparkSession, source: Source) -> DataFrame:
    """Return what the files hold as `value`: their lines, or with multiLine whole files."""
    chosen = {name: text for name, text in source.options.items() if name.lower() not in ("linesep", "encoding")}
    whole = option(source, "multiLine").lower()
    # DataFrameReader.text has a default of its own for wholetext.
    return spark.read.format("text").options(**{**chosen, "wholetext": whole or "false"}).load(str(source.path))


def _refuse_alike(spark: SparkSession, source: Source, names: list[str], *, where: str) -> None:
    """Raise SourceError for keys that differ in case only."""
    place = str(source.path)
    if option(source, "multiLine").lower() != "true" and "." not in names[0]:
        keys = F.expr("json_object_keys(value)")
        lines = _texts(spark, source).where(F.array_contains(keys, names[0])).select(F.input_file_name())
        place = ", ".join(named([row[0]]) for row in lines.limit(1).collect()) or place
    raise SourceError(
        f"Keys of the objects differ in case only: {' and '.join(f'`{name}`' for name in names)}",
        where=f"{where}.path",
        found=f"`{names[0]}` in {place}, and `{names[1]}` in other objects",
        expected="one spelling of each key",
        action='Write one spelling, or set "spark.sql.caseSensitive" = "true" in [spark] and use '
        f"coalesce({', '.join(names)}).",
    )


def _refuse_spread(begun: Mapping[str, str], *, where: str) -> None:
    spread = []
    for path, text in begun.items():
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and "".join(lines[0].split()) in _SPREAD:
            spread.append(path)
    if spread:
        raise SourceError(
            "The JSON of a file is spread over several lines",
            where=f"{where}.path",
            found=f"{named(spread)}, whose first line is {begun[spread[0]].strip()[:1]}",
            expected="one object in each line",
            action='Set options = { multiLine = "true" }, which reads one array or one object from each file.',
        )


def _refuse_several(spark: SparkSession, source: Source, *, where: str) -> None:
    """Raise SourceError where a file has several objects one after the other: Spark would read the first alone."""
    several = _texts(spark, source).where(F.col("value").rlike(_NEXT)).select(F.input_file_name()).limit(1).collect()
    if several:
        raise SourceError(
            "A file has several objects one after the other, and multiLine reads only the first",
            where=f"{where}.path",
            found=named([several[0][0]]),
            expected="with multiLine, one array or one object in each file",
            action="Remove the option multiLine where each object has a line of its own, else write one array.",
        )


def _with_own_name(spark: SparkSession, rows: DataFrame, source: Source) -> DataFrame:
    """Return the rows with the text of malformed ones also under the name by which an expression uses it."""
    own = option(source, "columnNameOfCorruptRecord") or str(spark.conf.get("spark.sql.columnNameOfCorruptRecord"))
    texts = [*source.columns.values(), *source.group_by, source.where or ""]
    return rows.withColumn(own, F.col(MALFORMED)) if any(own in text for text in texts) else rows


def _first_line(begun: Mapping[str, str]) -> str:
    path, text = next(((path, text) for path, text in begun.items() if text.strip()), next(iter(begun.items())))
    return f"{text.strip().splitlines()[0][:200] if text.strip() else 'an unreadable line'} in {named([path])}"


def _without(options: Mapping[str, str], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name.lower() not in names}
