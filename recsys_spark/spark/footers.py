"""Footers of Parquet and ORC files, read on the driver: their columns and their number of rows."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import DataType, StructType

from recsys_spark.spark.failures import messages
from recsys_spark.spark.files import Listing
from recsys_spark.spark.java_calls import JavaCalls, java_class

_N_THREADS = 8
_FEW = 64
"""Files whose footers the driver reads in the time that a job takes to start."""
_HADOOP = "org.apache.parquet.hadoop"
_SOURCES = "org.apache.spark.sql.execution.datasources"


@dataclass(frozen=True)
class FileColumn:
    """A column of a file."""

    name: str
    type: DataType | None
    """The type in which Spark reads it, or None where Spark does not know its type."""
    stored: str
    """The column as the file's own schema describes it, such as `optional int64 ts (TIMESTAMP(NANOS,true))`."""


@dataclass(frozen=True)
class Footers:
    """The footers of many files."""

    columns: dict[str, tuple[FileColumn, ...]]
    """Path of each readable file -> its columns; files alike share one tuple."""
    n_rows: int
    """Number of rows of all readable files."""
    unreadable: dict[str, str]
    """Path of each other file -> reason."""


def parquet_footers(spark: SparkSession, files: Listing) -> Footers:
    """Return the footers of Parquet files; some 1,000 small files a second, in one call each hundred."""
    calls = JavaCalls(spark)
    try:
        return _footers(spark, calls, files.statuses, {})
    except (Py4JJavaError, PySparkException):
        good, bad = calls.listed([]), {}
        for status in files.statuses:
            reason = _reason(spark, calls, status)
            if reason is None:
                good.add(status)
            else:
                bad[str(status.getPath().toString())] = reason
        return _footers(spark, calls, good, bad)


def _footers(spark: SparkSession, calls: JavaCalls, statuses: Any, unreadable: dict[str, str]) -> Footers:
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    reader = calls.java("org.apache.parquet.hadoop.ParquetFileReader")
    footers = calls.listed(reader.readAllFootersInParallel(conf, statuses, False))
    paths = calls.texts(calls.map(footers, f"{_HADOOP}.Footer", "getFile"))
    metadata = calls.map(footers, f"{_HADOOP}.Footer", "getParquetMetadata")
    n_rows = _n_rows(calls, metadata)
    of_file = calls.map(metadata, f"{_HADOOP}.metadata.ParquetMetadata", "getFileMetaData")
    schemas = calls.map(of_file, f"{_HADOOP}.metadata.FileMetaData", "getSchema")
    written = calls.texts(schemas)
    known = {text: _columns(spark, calls, schemas.get(written.index(text))) for text in dict.fromkeys(written)}
    by_path = sorted(zip(paths, written, strict=True))
    return Footers({path: known[text] for path, text in by_path}, n_rows, unreadable)


def _n_rows(calls: JavaCalls, metadata: Any) -> int:
    groups = calls.flat(calls.map(metadata, f"{_HADOOP}.metadata.ParquetMetadata", "getBlocks"))
    return sum(map(int, calls.texts(calls.map(groups, f"{_HADOOP}.metadata.BlockMetaData", "getRowCount"))))


def _columns(spark: SparkSession, calls: JavaCalls, schema: Any) -> tuple[FileColumn, ...]:
    converter = calls.java(f"{_SOURCES}.parquet.ParquetToSparkSchemaConverter")(
        spark._jsparkSession.sessionState().conf()
    )
    columns = []
    for field in schema.getFields():
        alone = calls.java("org.apache.parquet.schema.MessageType")("one", calls.listed([field]))
        kind: DataType | None = None
        try:
            kind = StructType.fromJson(json.loads(converter.convert(alone).json()))[0].dataType
        except (Py4JJavaError, PySparkException):
            kind = None
        columns.append(FileColumn(str(field.getName()), kind, " ".join(str(field.toString()).split())))
    return tuple(columns)


def _reason(spark: SparkSession, calls: JavaCalls, status: Any) -> str | None:
    """Return why a file's footer cannot be read; None where it can."""
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    reader = calls.java("org.apache.parquet.hadoop.ParquetFileReader")
    try:
        reader.open(calls.java("org.apache.parquet.hadoop.util.HadoopInputFile").fromStatus(status, conf)).close()
    except Py4JJavaError as error:
        return str(error.java_exception.getMessage())
    return None


def n_written(spark: SparkSession, folder: str) -> int | None:
    """Return the number of rows that Spark has just written to a folder as Parquet; None where it has many files.

    For many files a job that counts is faster than the driver alone.
    """
    calls = JavaCalls(spark)
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    place = calls.java("org.apache.hadoop.fs.Path")(folder)
    # Not a pattern: the folder's own name may hold its signs.
    found = place.getFileSystem(conf).listStatus(place)
    if len(found) > _FEW:
        return None
    statuses = calls.listed([status for status in found if str(status.getPath().getName()).startswith("part-")])
    footers = calls.listed(calls.java(f"{_HADOOP}.ParquetFileReader").readAllFootersInParallel(conf, statuses, False))
    return _n_rows(calls, calls.map(footers, f"{_HADOOP}.Footer", "getParquetMetadata"))


def orc_footers(spark: SparkSession, files: Listing) -> Footers:
    """Return the footers of ORC files, read one by one in threads. An empty file is a table without rows."""
    with ThreadPoolExecutor(_N_THREADS) as threads:
        read = list(threads.map(lambda path: _orc_footer(spark, path), files.paths))
    good = {path: one for path, one in zip(files.paths, read, strict=True) if not isinstance(one, str)}
    bad = {path: one for path, one in zip(files.paths, read, strict=True) if isinstance(one, str)}
    return Footers(
        {path: columns for path, (columns, _) in good.items() if columns}, sum(n for _, n in good.values()), bad
    )


def _orc_footer(spark: SparkSession, path: str) -> tuple[tuple[FileColumn, ...], int] | str:
    """Return the columns and the number of rows of a file, or why its footer cannot be read."""
    jvm: Any = spark._jvm
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    orc = java_class(jvm, "org.apache.orc.OrcFile")
    try:
        reader = orc.createReader(java_class(jvm, "org.apache.hadoop.fs.Path")(path), orc.readerOptions(conf))
        schema, n_rows = reader.getSchema(), int(reader.getNumberOfRows())
        reader.close()
    except (Py4JJavaError, PySparkException) as error:
        return messages(error)[-1]
    stored = [str(kind.toString()) for kind in schema.getChildren() or []]
    names = [str(name) for name in schema.getFieldNames() or []]
    kinds = StructType.fromJson(
        json.loads(
            java_class(jvm, "org.apache.spark.sql.execution.datasources.orc.OrcUtils").toCatalystSchema(schema).json()
        )
    )
    columns = [
        FileColumn(name, kind.dataType, f"{name} {text}") for name, kind, text in zip(names, kinds, stored, strict=True)
    ]
    return tuple(columns), n_rows
