"""Whatever Spark raises while the rows of a source are read names the source, the file and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.contract import USERS
from recsys_spark.errors import SourceError
from recsys_spark.ingest.file_causes import CAUSES, cause_of
from recsys_spark.ingest.source_errors import explain_reading
from recsys_spark.spark.failures import SparkFailure
from tests.ingest.source_files import refused

LINES = b"u,i\n" + b"1,2\n" * 20000


def explained(spark: SparkSession, source: Source, rows: Callable[[], DataFrame], staged: Path) -> SourceError:
    """Read the rows as ingest does, into a table of its own, and return the error for what Spark raised."""
    try:
        rows().write.parquet(str(staged))
    except SparkFailure as error:
        return explain_reading(error, spark, source, where="sources.items")
    raise AssertionError("Spark raised nothing")


def source(path: Path, form: str = "csv", **options: str) -> Source:
    given: dict[str, Any] = {"format": form, "path": str(path), "options": options, "columns": {"item_id": "i"}}
    return Source.model_validate(given)


FAULTS = [
    ("part.csv.gz", gzip.compress(LINES, mtime=0)[:-20], "cut off or damaged", "again"),
    ("part.csv.gz", LINES, "not compressed as its ending says", "ending of its content"),
    ("part.csv.zst", LINES, "not compressed as its ending says", "ending of its content"),
    ("part.csv.deflate", LINES, "not compressed as its ending says", "ending of its content"),
]


@pytest.mark.parametrize(("name", "content", "what", "action"), FAULTS)
def test_a_damaged_text_file_is_named(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, what: str, action: str
) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "0.csv").write_bytes(b"u,i\n1,2\n")
    (folder / name).write_bytes(content)
    it = source(folder)
    error = explained(spark, it, lambda: spark.read.schema("u string, i string").csv(str(folder)), tmp_path / "out")
    assert what in error.what
    assert error.where == "sources.items.path"
    assert str(error.found).startswith(f"{folder}/{name}")
    assert action in str(error.action)
    assert "\n" not in str(error.found)


def test_a_compressed_file_is_named_where_spark_does_not_say_which(spark: SparkSession, tmp_path: Path) -> None:
    whole = gzip.compress(b"u\n" + b"".join(b"%d\n" % n for n in range(9999)), mtime=0)
    (tmp_path / "a.csv.gz").write_bytes(whole)
    (tmp_path / "b.csv.gz").write_bytes(whole[:-2000])
    it = source(tmp_path, header="true").model_copy(update={"columns": {"user_id": "u"}})
    error = refused(spark, USERS, it.model_dump())
    assert "cut off or damaged" in error.what
    assert str(error.found).startswith(f"{tmp_path}/b.csv.gz")


def test_a_file_that_vanished_or_was_replaced_is_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    pq.write_table(pa.table({"i": pa.array([1])}), folder / "a.parquet")
    rows = spark.read.parquet(str(folder))
    pq.write_table(pa.table({"i": pa.array(["x" * 99] * 9)}), folder / "a.parquet")
    error = explained(spark, source(folder, "parquet"), lambda: rows, tmp_path / "out1")
    assert "another type" in error.what
    assert error.found == f"column `i` is BINARY in {folder}/a.parquet, and bigint in other files"
    (folder / "a.parquet").unlink()
    error = explained(spark, source(folder, "parquet"), lambda: rows, tmp_path / "out2")
    assert "removed or replaced" in error.what
    assert error.found == f"{folder}/a.parquet"


def test_a_damaged_orc_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    spark.createDataFrame([("a",)], "i string").coalesce(1).write.orc(str(tmp_path / "it"))
    rows = spark.read.orc(str(tmp_path / "it"))
    (file,) = (tmp_path / "it").glob("*.orc")
    (tmp_path / "it" / f".{file.name}.crc").unlink()
    file.write_bytes(file.read_bytes()[:-30])
    error = explained(spark, source(tmp_path / "it", "orc"), lambda: rows, tmp_path / "out")
    assert "cut off or damaged" in error.what
    assert file.name in str(error.found)


@pytest.mark.parametrize(
    ("form", "options", "what", "action"),
    [
        ("csv", {"encoding": "GBK"}, "encoding GBK with its default settings", "spark.sql.legacy.javaCharsets"),
        ("json", {"encoding": "GBK"}, "encoding GBK with its default settings", "spark.sql.legacy.javaCharsets"),
        ("csv", {"encoding": "klingon"}, "does not read the encoding klingon", "Correct the option `encoding`"),
        ("json", {"encoding": "UTF-16"}, "lines of JSON in this encoding", "iconv"),
        ("json", {"encoding": "ISO-8859-1"}, "needs the option `lineSep`", r'lineSep = "\n"'),
        ("json", {"mode": "FAILFAST"}, "mode = FAILFAST", "rejected_rows"),
    ],
)
def test_options_that_cannot_read_the_files_are_explained(
    spark: SparkSession, tmp_path: Path, form: str, options: dict[str, str], what: str, action: str
) -> None:
    (tmp_path / "it").write_text('{"i": "1"}\n{"i":\n', encoding="utf-8")
    it = source(tmp_path / "it", form, **options)
    error = explained(
        spark, it, lambda: spark.read.format(form).options(**options).load(str(it.path)), tmp_path / "out"
    )
    assert what in error.what
    assert action in str(error.action)
    assert str(tmp_path / "it") in str(error.found)


def test_the_rest_names_the_source_and_the_deepest_cause(spark: SparkSession, tmp_path: Path) -> None:
    it = source(tmp_path)
    error = explained(spark, it, lambda: spark.sql("select raise_error('odd')"), tmp_path / "out")
    assert error.what == "The source cannot be read"
    assert str(error.found).startswith(f"{tmp_path} (")
    assert "odd" in str(error.found)
    table = Source.model_validate({"table": "db.t", "columns": {"item_id": "i"}})
    error = explained(spark, table, lambda: spark.sql("select raise_error('odd')"), tmp_path / "out2")
    assert error.where == "sources.items.table"
    assert str(error.found).startswith("db.t (")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("java.io.IOException: No space left on device", "disk was full"),
        ("java.lang.OutOfMemoryError: Java heap space", "memory was full"),
        ("You may get a different result ... set the option 'datetimeRebaseMode' to", "before 1582"),
        ("org.apache.hadoop.security.AccessControlException: Permission denied", "must not be read by this user"),
        ("[MALFORMED_CHARACTER_CODING] Invalid value found", "another encoding"),
        ("java.io.EOFException: Unexpected end of input stream", "cut off or damaged"),
    ],
)
def test_other_causes_are_known_by_their_messages(said: str, what: str) -> None:
    found = cause_of(said)
    assert found is not None
    assert what in found.what


def test_no_cause_hides_another() -> None:
    assert len({cause.what for cause in CAUSES}) == len(CAUSES)
    assert cause_of("a message of no kind") is None
