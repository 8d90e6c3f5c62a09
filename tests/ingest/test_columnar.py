"""Parquet and ORC files whose columns, types or bytes are not alike are read rightly, or refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc as po
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.formats import open_source
from recsys_spark.ingest.opened import Opened
from recsys_spark.ingest.settings import reading_settings

NAIVE, AWARE = pa.timestamp("ns"), pa.timestamp("ns", "UTC")


def write(folder: Path, **files: dict[str, pa.Array]) -> Path:
    """Write `NAME.parquet` of each keyword, with its columns."""
    folder.mkdir(exist_ok=True)
    for name, columns in files.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def opened(spark: SparkSession, path: Path, *columns: str, **source: Any) -> Opened:
    mapping = {"user_id": columns[0], **{f"x{n}": text for n, text in enumerate(columns[1:])}}
    it = Source.model_validate({"format": "parquet", "path": str(path), "columns": mapping, **source})
    with reading_settings(spark):
        return open_source(spark, it, where="sources.users")


def values(found: Opened, *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in found.rows.select(*names).collect()), key=str)


def refused(spark: SparkSession, path: Path, *columns: str, **source: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        opened(spark, path, *columns, **source)
    assert caught.value.where == "sources.users.path"
    assert caught.value.action
    return caught.value


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (pa.array([1]), texts("a"), ("bigint", "string")),
        (pa.array([1]), pa.array([1.0]), ("bigint", "double")),
        (texts("a"), pa.array([None], pa.null()), ("string", "void (only nulls)")),
        (pa.array([1], NAIVE), pa.array([1], pa.timestamp("us")), ("timestamp in nanoseconds", "timestamp_ntz")),
        (pa.array([1], NAIVE), pa.array([1]), ("timestamp in nanoseconds", "bigint")),
        (texts("2024-01-01"), pa.array([date(2024, 1, 1)]), ("string", "date")),
    ],
)
def test_a_used_column_of_two_types_is_refused_with_both(
    spark: SparkSession, tmp_path: Path, one: pa.Array, two: pa.Array, said: tuple[str, str]
) -> None:
    at = write(tmp_path / "it", a={"u": texts("x"), "t": one}, b={"u": texts("y"), "t": two})
    error = refused(spark, at, "u", "t")
    assert error.what == "Column `t` has different types in the files"
    assert error.found == f"{said[0]} in {at}/a.parquet; {said[1]} in {at}/b.parquet"
    # Where no expression reads it, it stops nothing.
    assert values(opened(spark, at, "u"), "u") == [("x",), ("y",)]


@pytest.mark.parametrize(
    ("one", "two", "read"),
    [
        (pa.array([1], pa.int32()), pa.array([2], pa.int64()), ("bigint", 1, 2)),
        (pa.array([1.5], pa.float32()), pa.array([2.5]), ("double", 1.5, 2.5)),
        (pa.array([10**6], pa.timestamp("us")), pa.array([2000], pa.timestamp("ms")), ("timestamp_ntz", 1, 2)),
        (pa.array([10**9], NAIVE), pa.array([2 * 10**9], AWARE), ("timestamp_ntz", 1, 2)),
    ],
)
def test_a_wider_type_holds_both(
    spark: SparkSession, tmp_path: Path, one: pa.Array, two: pa.Array, read: tuple[str, Any, Any]
) -> None:
    found = opened(spark, write(tmp_path / "it", a={"t": one}, b={"t": two}), "t")
    assert found.rows.schema["t"].dataType.simpleString() == read[0]
    got = [row[0].second if read[0].startswith("time") else row[0] for row in values(found, "t")]
    assert got == list(read[1:])


def test_a_column_added_later_is_named_and_can_be_merged(spark: SparkSession, tmp_path: Path) -> None:
    at = write(tmp_path / "it", a={"u": texts("x")}, b={"u": texts("y"), "dwell": pa.array([2.5])})
    error = refused(spark, at, "u", "dwell")
    assert error.what == "Column `dwell` is not in all files"
    assert error.found == f"not in {at}/a.parquet; in {at}/b.parquet"
    assert "columns_may_differ = true" in str(error.action)
    assert "mergeSchema" in str(error.action)
    merged = opened(spark, at, "u", "dwell", options={"mergeSchema": "true"})
    assert values(merged, "u", "dwell") == [("x", None), ("y", 2.5)]
    assert merged.n_rows == 2
    assert values(opened(spark, at, "u"), "u") == [("x",), ("y",)]


@pytest.mark.parametrize("kind", [NAIVE, AWARE])
def test_nanoseconds_are_read_as_timestamps(spark: SparkSession, tmp_path: Path, kind: pa.DataType) -> None:
    moments = pa.array([1_706_207_674_123_456_789, -1, None], kind)
    found = opened(spark, write(tmp_path / "it", a={"t": moments}), "t")
    assert found.rows.schema["t"].dataType.simpleString() == ("timestamp" if kind == AWARE else "timestamp_ntz")
    micros = [row[0] for row in found.rows.selectExpr("unix_micros(cast(t as timestamp)) as m").collect()]
    assert sorted(micros, key=str) == [-1, 1_706_207_674_123_456, None]
    seen = found.rows.where("t > timestamp'2024-01-25 00:00:00'").head()
    assert seen is not None
    moment = datetime(2024, 1, 25, 18, 34, 34, 123456, UTC)
    assert seen.t.astimezone(UTC) == moment if kind == AWARE else seen.t == moment.replace(tzinfo=None)


def test_nanoseconds_stay_numbers_for_who_has_set_so(spark: SparkSession, tmp_path: Path) -> None:
    at = write(tmp_path / "it", a={"t": pa.array([10**9], NAIVE)})
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        assert values(opened(spark, at, "timestamp_micros(t div 1000)"), "t") == [(10**9,)]
    finally:
        spark.conf.unset("spark.sql.legacy.parquet.nanosAsLong")


def test_a_type_that_spark_cannot_read_is_named_where_it_is_used(spark: SparkSession, tmp_path: Path) -> None:
    columns = {
        "u": texts("x"),
        "half": pa.array([1], pa.float16()),
        "clock": pa.array([1], pa.time64("ns")),
        "deep": pa.array([{"t": 1}], pa.struct({"t": AWARE})),
    }
    at = write(tmp_path / "it", a=columns)
    assert values(opened(spark, at, "u"), "u") == [("x",)]
    for name, stored in (("half", "FLOAT16"), ("clock", "TIME(NANOS"), ("deep", "TIMESTAMP(NANOS")):
        error = refused(spark, at, "u", name)
        assert error.what == f"Spark cannot read the type of column `{name}`"
        assert stored in str(error.found)
        assert "a.parquet" in str(error.found)


def test_names_that_differ_in_case_only(spark: SparkSession, tmp_path: Path) -> None:
    at = write(tmp_path / "over", a={"u": texts("x")}, b={"U": texts("y")})
    assert values(opened(spark, at, "u"), "u") == [("x",), ("y",)]
    at = write(tmp_path / "within", a={"u": texts("x"), "v": texts("1"), "V": texts("2")})
    assert "`v` and `V`" in refused(spark, at, "u", "V").what
    assert values(opened(spark, at, "u"), "u") == [("x",)]


@pytest.mark.parametrize("content", [b"", b"not parquet", "half"], ids=["empty", "foreign", "half"])
def test_a_file_that_is_not_whole_is_named(spark: SparkSession, tmp_path: Path, content: bytes | str) -> None:
    at = write(tmp_path / "it", a={"u": texts("x")}, b={"u": texts("y")})
    whole = (at / "b.parquet").read_bytes()
    (at / "b.parquet").write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    error = refused(spark, at, "u")
    assert error.what == "A file is not a complete file of format parquet"
    assert f"{at}/b.parquet" in str(error.found)
    assert f"{at}/a.parquet" not in str(error.found)


def test_a_column_of_files_and_folders_is_refused_where_it_is_used(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "i=07", a={"u": texts("x"), "i": pa.array([7])})
    assert "in the names of the folders and in the files" in refused(spark, tmp_path, "u", "i").what
    assert values(opened(spark, tmp_path, "u"), "u") == [("x",)]


def test_rows_are_counted_by_the_footers(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "shop=01", a={"u": texts("x", "y")}, b={"u": texts("z")})
    pq.write_table(pa.table({"u": texts(*"abcdef")}), tmp_path / "shop=01" / "c.parquet", row_group_size=2)
    found = opened(spark, tmp_path, "u")
    assert found.n_rows == found.rows.count() == 9


def test_orc_files_are_compared_too(spark: SparkSession, tmp_path: Path) -> None:
    def orc(name: str, **columns: pa.Array) -> Path:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        po.write_table(pa.table(columns), tmp_path / name)
        return tmp_path / name

    # Spark itself reads the text of the second file as null.
    orc("types/a.orc", u=texts("x"), v=pa.array([1]))
    orc("types/b.orc", u=texts("y"), v=texts("1"))
    error = refused(spark, tmp_path / "types", "u", "v", format="orc")
    assert error.what == "Column `v` has different types in the files"
    assert error.found == f"bigint in {tmp_path}/types/a.orc; string in {tmp_path}/types/b.orc"
    assert values(opened(spark, tmp_path / "types", "u", format="orc"), "u") == [("x",), ("y",)]
    orc("wider/a.orc", u=pa.array([1], pa.int32()))
    orc("wider/b.orc", u=pa.array([2**40]))
    (tmp_path / "wider" / "c.orc").write_bytes(b"")
    wider = opened(spark, tmp_path / "wider", "u", format="orc")
    assert (values(wider, "u"), wider.n_rows) == ([(1,), (2**40,)], 2)
    orc("added/a.orc", u=texts("x"))
    orc("added/b.orc", u=texts("y"), v=texts("1"))
    assert "is not in all files" in refused(spark, tmp_path / "added", "u", "v", format="orc").what
    merged = opened(spark, tmp_path / "added", "u", "v", format="orc", options={"mergeSchema": "true"})
    assert values(merged, "u", "v") == [("x", None), ("y", "1")]
    cut = orc("cut/b.orc", u=texts("y"))
    cut.write_bytes(cut.read_bytes()[:-20])
    assert f"{cut}: " in str(refused(spark, tmp_path / "cut", "u", format="orc").found)
