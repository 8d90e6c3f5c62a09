"""The files that Spark finds below a path, and how each of them begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from recsys_spark.spark.java_calls import JavaCalls

_CHOOSE = ("pathglobfilter", "modifiedbefore", "modifiedafter")
_N_THREADS = 8
_N_TOGETHER = 64
"""Files that a thread holds open."""


@dataclass(frozen=True)
class Listing:
    """Files in the order of their paths."""

    paths: tuple[str, ...]
    n_bytes: tuple[int, ...]
    statuses: Any
    """The same files as a Java list of Hadoop's FileStatus, in any order."""


def listing(spark: SparkSession, path: str, options: Mapping[str, str]) -> Listing:
    """Return all files at a path, folder or glob, at any depth, except those that Spark hides: names with _ or . first.

    Of ``options`` those that choose files are obeyed. Raises what Spark raises where the path does not exist.
    """
    calls = JavaCalls(spark)
    chosen = {name: value for name, value in options.items() if name.lower() in _CHOOSE}
    # Spark opens no file of the format `text` before it reads rows.
    rows = spark.read.format("text").options(**{**chosen, "recursiveFileLookup": "true"}).load(path)
    found = rows._jdf.queryExecution().analyzed().relation().location().allFiles()
    statuses = calls.listed(calls.java("scala.jdk.javaapi.CollectionConverters").asJava(found))
    owner = "org.apache.hadoop.fs.FileStatus"
    paths = calls.texts(calls.map(statuses, owner, "getPath"))
    sizes = map(int, calls.texts(calls.map(statuses, owner, "getLen")))
    ordered = sorted(zip(paths, sizes, strict=True))
    return Listing(tuple(name for name, _ in ordered), tuple(size for _, size in ordered), statuses)


def first_bytes(spark: SparkSession, paths: Sequence[str], n_bytes: int) -> list[bytes]:
    """Return the first bytes of each file as it is stored: of a compressed file, the compressed ones."""
    parts = [paths[start : start + _N_TOGETHER] for start in range(0, len(paths), _N_TOGETHER)]
    with ThreadPoolExecutor(_N_THREADS) as threads:
        read = list(threads.map(lambda part: _first_bytes(spark, part, n_bytes), parts))
    return [begun for part in read for begun in part]


def _first_bytes(spark: SparkSession, paths: Sequence[str], n_bytes: int) -> list[bytes]:
    calls = JavaCalls(spark)
    where = calls.listed([calls.java("org.apache.hadoop.fs.Path")(path) for path in paths])
    system = where.get(0).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    owner, takes = "org.apache.hadoop.fs.FileSystem", "org.apache.hadoop.fs.Path"
    return calls.beginnings(calls.map(where, owner, "open", takes=takes, of=system), n_bytes)


def json_columns(texts: DataFrame, options: Mapping[str, str]) -> StructType:
    """Return the columns of a table of JSON texts, which has one column."""
    # PySpark 4.0 takes no table here.
    return texts.sparkSession.read.options(**options).json(texts.rdd.map(itemgetter(0))).schema


def file_columns(df: DataFrame) -> frozenset[str]:
    """Return the columns of files just opened that are in the files themselves; none where that cannot be seen."""
    plan = df._jdf.queryExecution().analyzed().collectLeaves().head()
    if plan.getClass().getSimpleName() != "LogicalRelation":
        return frozenset()
    return frozenset(plan.relation().dataSchema().fieldNames())
