"""The exact way to read CSV files: the lines of a file go through one task, in order, and become records there.

It is for files whose quotes are not all closed on their line. It is slower than Spark's reader, and splits no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark.ingest.csv.dialect import BACKSLASH, Dialect
from recsys_spark.ingest.csv.form import Form
from recsys_spark.ingest.csv.records import Assembler
from recsys_spark.ingest.csv.survey import FILE, LINE
from recsys_spark.ingest.opened import MALFORMED
from recsys_spark.spark.expressions import quoted

_FOLDERS, _BLOCK, _ID = "__folders", "__block", "__id"
_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("folders", pa.string()),
        ("record", pa.string()),
        ("is_rejected", pa.bool_()),
        ("is_strict", pa.bool_()),
    ]
)
_DDL = "file string, folders string, record string, is_rejected boolean, is_strict boolean"
_N_TOGETHER = 4_096
"""Records of an Arrow batch."""


def records_of(lines: DataFrame, files: Sequence[str], form: Form, dialect: Dialect, n_fields: int) -> DataFrame:
    """Return the records of some files: `file`, `folders` (JSON), `record`, `is_rejected`, `is_strict`."""
    folders = [F.col(quoted(name)) for name in lines.columns if name != LINE]
    ordered = (
        lines.where(F.col("_metadata.file_path").isin(*files))
        .select(
            F.col("_metadata.file_path").alias(FILE),
            F.col("_metadata.file_block_start").alias(_BLOCK),
            F.monotonically_increasing_id().alias(_ID),
            (F.to_json(F.struct(*folders)) if folders else F.lit(None).cast("string")).alias(_FOLDERS),
            F.col(LINE).cast("binary").alias(LINE),
        )
        .repartition(FILE)
        .sortWithinPartitions(FILE, _BLOCK, _ID)
        .select(FILE, _FOLDERS, LINE)
    )
    assembler = Assembler(
        dialect, n_fields, has_header=form.has_header, comment=form.comment, line_sep=form.line_sep or "\n"
    )
    return ordered.mapInArrow(_assembling(assembler, form), _DDL)


def _assembling(assembler: Assembler, form: Form) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for file, lines in groupby(_lines(batches), key=itemgetter(0)):
            first = next(lines)
            folders = first[1]
            texts = (form.decode(line[2]) for part in ((first,), lines) for line in part)
            records = assembler.records(texts)
            while together := list(islice(records, _N_TOGETHER)):
                n = len(together)
                columns = [[file] * n, [folders] * n, *map(list, zip(*together, strict=True))]
                yield pa.RecordBatch.from_arrays(
                    [pa.array(values, kind.type) for values, kind in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
                )

    return run


def _lines(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def backslash_files(lines: DataFrame, files: Sequence[str], form: Form, n_fields: int) -> set[str]:
    """Return those of the files that are better read with a backslash before a quote than with doubled quotes."""
    bad = {}
    for escape in (form.dialect.quote, BACKSLASH):
        records = records_of(lines, files, form, replace(form.dialect, escape=escape), n_fields)
        counts = records.where("NOT is_strict").groupBy("file").count().collect()
        bad[escape] = {row["file"]: row["count"] for row in counts}
    return {file for file in files if bad[BACKSLASH].get(file, 0) < bad[form.dialect.quote].get(file, 0)}


def rows_of(records: DataFrame, schema: StructType, options: Mapping[str, str], folders: StructType) -> DataFrame:
    """Return the rows of records: the columns of ``schema``, among them MALFORMED, and those of ``folders``."""
    ddl = ", ".join(f"{quoted(field.name)} {field.dataType.simpleString()}" for field in schema)
    named = records.select(
        "record",
        "is_rejected",
        F.from_csv("record", ddl, dict(options)).alias("parsed"),
        F.from_json("folders", folders).alias("folders"),
    )
    of_folders = {field.name.lower() for field in folders}
    values = {
        name: F.when(~F.col("is_rejected"), F.col(f"parsed.{quoted(name)}"))
        for name in schema.names
        # Spark too takes the name of a folder rather than a column of its files.
        if name.lower() not in of_folders
    }
    values[MALFORMED] = F.when(F.col("is_rejected"), F.col("record")).otherwise(F.col(f"parsed.{MALFORMED}"))
    values |= {name: F.col(f"folders.{quoted(name)}") for name in folders.names}
    return named.select(*(column.alias(name) for name, column in values.items()))
