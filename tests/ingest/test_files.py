"""Which files a source has: what is not part of the table is refused by name, and so is what Spark would leave out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.files import files_of
from recsys_spark.ingest.formats import open_source
from recsys_spark.ingest.settings import reading_settings


def folder(at: Path, *names: str, text: str = "u,i\n1,2\n") -> Path:
    for name in names:
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text, encoding="utf-8")
    return at


def source(path: Path | str, form: str = "csv", **options: str) -> Source:
    options = {"header": "true", **options} if form == "csv" else options
    return Source.model_validate({"format": form, "path": str(path), "options": options, "columns": {"user_id": "u"}})


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("csv", ["a.csv", "b.csv"]),
        ("csv", ["a.csv", "b.CSV", "c.csv.gz"]),
        ("csv", ["part-00000", "part-00001.gz"]),
        ("csv", ["part-00000", "b.csv"]),
        ("csv", ["a.dat", "b.dat", "_SUCCESS", ".a.dat.crc", "_log/x"]),
        ("csv", ["log.2024-01-01", "log.2024-01-02"]),
        ("csv", ["README"]),
        ("json", ["a.json", "b.jsonl"]),
        ("parquet", ["a.snappy.parquet", "b.pq"]),
        ("text", ["day=1/ids.txt", "day=2/ids.txt"]),
    ],
)
def test_files_of_one_kind_are_a_table(spark: SparkSession, tmp_path: Path, form: str, names: list[str]) -> None:
    at = folder(tmp_path / "it", *names)
    expected = sorted(f"file:{at / name}" for name in names if not name.startswith(("_", ".")))
    assert list(files_of(spark, source(at, form), where="sources.users").paths) == expected


@pytest.mark.parametrize(
    ("form", "names", "foreign", "way_out"),
    [
        ("csv", ["a.csv", "README.txt", "b.csv.bak"], ["README.txt", "b.csv.bak"], '/it/*.csv"'),
        ("csv", ["a.csv", "b.csv.gz", "c.csv.tmp"], ["c.csv.tmp"], '/it/*{.csv,.csv.gz}"'),
        ("csv", ["a.csv", "a.csv~"], ["a.csv~"], "*.csv"),
        ("csv", ["a.csv", "a.csv.1"], ["a.csv.1"], "*.csv"),
        ("csv", ["a.csv", "a.csv.md5"], ["a.csv.md5"], "*.csv"),
        ("csv", ["a.csv", "README"], ["README"], "*.csv"),
        ("csv", ["a.csv", "b.parquet"], ["b.parquet"], "*.csv"),
        ("csv", ["part-00000", "part-00001", "SHA256SUMS"], ["SHA256SUMS"], "Move them"),
        ("csv", ["a.tsv", "b.tsv", "notes.txt"], ["notes.txt"], "*.tsv"),
        ("csv", ["day=1/a.csv", "day=2/a.csv", "day=2/x.xlsx"], ["x.xlsx"], 'pathGlobFilter = "*.csv"'),
        ("json", ["a.json", "b.csv"], ["b.csv"], "*.json"),
        ("parquet", ["a.parquet", "b.crc"], ["b.crc"], "*.parquet"),
        ("orc", ["a.orc", "b.orc.inprogress"], ["b.orc.inprogress"], "*.orc"),
        ("text", ["a.txt", "b.doc"], ["b.doc"], "*.txt"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(
    spark: SparkSession, tmp_path: Path, form: str, names: list[str], foreign: list[str], way_out: str
) -> None:
    at = folder(tmp_path / "it", *names)
    with pytest.raises(SourceError) as caught:
        files_of(spark, source(at, form), where="sources.users")
    error = caught.value
    assert error.what == "The folder holds files that are not part of the table"
    refused = str(error.found).partition(", next to")[0]
    assert sorted(name.rpartition("/")[2] for name in refused.split(", ")) == sorted(foreign)
    assert way_out in str(error.action)


def test_the_way_out_is_one(spark: SparkSession, tmp_path: Path) -> None:
    at = folder(tmp_path / "it", "a.csv", "b.csv.gz", "README.txt")
    named = files_of(spark, source(at / "*{.csv,.csv.gz}"), where="sources.users").paths
    filtered = files_of(spark, source(at, pathGlobFilter="*{.csv,.csv.gz}"), where="sources.users").paths
    assert named == filtered == tuple(f"file:{at}/{name}" for name in ("a.csv", "b.csv.gz"))


def test_what_the_path_names_is_the_users_word(spark: SparkSession, tmp_path: Path) -> None:
    at = folder(tmp_path / "it", "a.csv", "b.bak")
    assert len(files_of(spark, source(at / "b.bak"), where="x").paths) == 1
    assert len(files_of(spark, source(f"{at}/{{a.csv,b.bak}}"), where="x").paths) == 2
    with pytest.raises(SourceError, match="not part of the table"):
        files_of(spark, source(at / "*"), where="x")


def test_a_table_with_a_log_is_not_read_as_files(spark: SparkSession, tmp_path: Path) -> None:
    at = folder(tmp_path / "it", "a.parquet", "_delta_log/0.json")
    with pytest.raises(SourceError, match="by `table`"):
        files_of(spark, source(at, "parquet"), where="x")


def opened(spark: SparkSession, it: Source) -> Any:
    with reading_settings(spark):
        return open_source(spark, it, where="sources.users")


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        (["shop=1/a.csv", "b.csv"], "b.csv"),
        (["a.csv", "deeper/b.csv"], "deeper/b.csv"),
    ],
)
def test_a_file_that_spark_leaves_out_is_refused(
    spark: SparkSession, tmp_path: Path, names: list[str], lost: str
) -> None:
    at = folder(tmp_path / "it", *names)
    with pytest.raises(SourceError, match="would not be read") as caught:
        opened(spark, source(at))
    assert f"{at}/{lost}," in str(caught.value.found)
    assert opened(spark, source(at, recursiveFileLookup="true")).rows.count() == 2


def test_names_of_folders_stay_text_in_every_format(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.createDataFrame([("a",)], "value string").coalesce(1)
    folders = ["i=007", "i=7", "i=1.50", "i=a%2Fb", "i=__HIVE_DEFAULT_PARTITION__", "i=2024-01-01"]
    for form in ("csv", "json", "parquet", "orc", "text"):
        rows.write.option("header", "true").format(form).save(str(tmp_path / form / "one"))
        for name in folders:
            shutil.copytree(tmp_path / form / "one", tmp_path / form / name)
        shutil.rmtree(tmp_path / form / "one")
        found = opened(spark, source(tmp_path / form, form)).rows
        ids = {row.i for row in found.collect()}
        assert ids == {"007", "7", "1.50", "a/b", None, "2024-01-01"}
        chosen = found.where("i = '007' or try_cast(i as date) >= date'2024-01-01'")
        assert sorted(row.i for row in chosen.collect()) == ["007", "2024-01-01"]


def test_a_column_of_files_and_folders_is_refused_where_it_is_used(spark: SparkSession, tmp_path: Path) -> None:
    at = folder(tmp_path / "it", "u=07/a.csv")
    with pytest.raises(SourceError, match="in the names of the folders and in the files") as caught:
        opened(spark, source(at))
    assert "u=07/a.csv" in str(caught.value.found)
    unused = source(at).model_copy(update={"columns": {"user_id": "i"}})
    assert [row.i for row in opened(spark, unused).rows.collect()] == ["2"]
    at = folder(tmp_path / "lines", "u=07/a.json", text='{"u": 7, "i": 2}\n')
    with pytest.raises(SourceError, match="in the names of the folders and in the files"):
        opened(spark, source(at, "json"))
    files = opened(spark, source(at, "json", recursiveFileLookup="true")).rows
    assert [row.u for row in files.collect()] == [7]


def test_folders_are_read_as_pandas_and_as_spark_name_them(spark: SparkSession, tmp_path: Path) -> None:
    users = ["用户1", "é", "a/b", "50%", "a=b", "Ã©", "ab"]
    pandas, both = tmp_path / "pandas", tmp_path / "both"
    pd.DataFrame({"u": users, "i": "1"}).to_parquet(pandas, partition_cols=["u"])
    read = opened(spark, source(pandas, "parquet")).rows
    assert sorted(row.u for row in read.collect()) == sorted(users)
    assert [row.i for row in read.where("u = 'é'").collect()] == ["1"]
    spark.createDataFrame([(user, "2") for user in ["用户2", "é", "%E9"]], "u string, i string").write.partitionBy(
        "u"
    ).parquet(str(both))
    shutil.copytree(pandas, both, dirs_exist_ok=True)
    read = opened(spark, source(both, "parquet")).rows
    assert sorted(row.u for row in read.where("i = '2'").collect()) == sorted(["用户2", "é", "%E9"])
