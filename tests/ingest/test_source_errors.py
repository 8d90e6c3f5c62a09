"""A source that cannot be read or mapped is refused before a row is read: what, where, found, expected, what to do."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, get_args

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sources import Format
from recsys_spark.contract import CONTRACT, USERS
from tests.ingest.source_files import csv, read, refused


def test_a_missing_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "gone.csv")
    error = refused(spark, USERS, {"format": "csv", "path": path, "columns": {"user_id": "u"}})
    assert (error.what, error.where, error.found) == (
        "The file or folder does not exist",
        "sources.users.path",
        path,
    )
    assert error.action


@pytest.mark.parametrize("form", get_args(Format))
def test_an_empty_folder_holds_no_data(spark: SparkSession, tmp_path: Path, form: str) -> None:
    error = refused(spark, USERS, {"format": form, "path": str(tmp_path), "columns": {"user_id": "value"}})
    assert error.what == "The file or folder holds no data"


def test_an_empty_file_holds_no_data(spark: SparkSession, tmp_path: Path) -> None:
    assert refused(spark, USERS, csv(tmp_path, "", columns={"user_id": "u"})).what == "The file or folder holds no data"


@pytest.mark.parametrize(
    ("form", "name", "content", "what"),
    [
        ("parquet", "part.parquet", b"this is not parquet", "not a complete file of format parquet"),
        ("csv", "part.csv.gz", b"this is not gzip", "not compressed as its ending says"),
        ("csv", "part.csv.gz", gzip.compress(b"u\n" + bytes(range(33, 127)) * 50, mtime=0)[:12], "cut off or damaged"),
    ],
)
def test_a_corrupt_file_is_named(
    spark: SparkSession, tmp_path: Path, form: str, name: str, content: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(content)
    source = {"format": form, "path": str(tmp_path / name), "options": {"header": "true"}, "columns": {"user_id": "u"}}
    error = refused(spark, USERS, source)
    assert what in error.what
    assert name in str(error.found)
    assert "\n" not in str(error.found)


def test_a_missing_table_names_the_nearest(spark: SparkSession) -> None:
    spark.createDataFrame([("u1",)], "id string").createOrReplaceTempView("shop_people")
    error = refused(spark, USERS, {"table": "shop_peple", "columns": {"user_id": "id"}})
    assert (error.what, error.where, error.found) == (
        "The catalog table does not exist",
        "sources.users.table",
        "shop_peple",
    )
    assert error.action == "Did you mean `shop_people`?"
    assert "no database `nowhere`" in str(
        refused(spark, USERS, {"table": "nowhere.people", "columns": {"user_id": "id"}}).action
    )


def test_a_misspelt_source_column_names_the_nearest(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, USERS, csv(tmp_path, "userId,age\n1,2\n", columns={"user_id": "upper(useId)"}))
    assert error.what == "Column `useId` does not exist in the source"
    assert error.where == "sources.users.columns.user_id"
    assert error.found == "upper(useId)"
    assert error.expected == "one of userId, age"
    assert error.action == "Did you mean `userId`?"


@pytest.mark.parametrize(
    ("column", "expression"),
    [
        ("user-id", "user-id"),
        ("user.id", "user.id"),
        ("user(id)", "user(id)"),
        ("user id", "user id"),
        ("用户ID", "用户ID"),
        ("user id", "lower(user id)"),
        ("a/b", "coalesce(a/b, c)"),
    ],
)
def test_a_name_that_needs_backticks_says_so(spark: SparkSession, tmp_path: Path, column: str, expression: str) -> None:
    source = csv(tmp_path, f"{column},ts\n1,2\n", columns={"user_id": expression})
    error = refused(spark, USERS, source)
    assert error.action == f"Write it in backticks: `{column}`."
    assert expression in str(error.found)
    quoted = expression.replace(column, f"`{column}`").replace(", c", "")
    read(spark, USERS, {**source, "columns": {"user_id": quoted}})


def test_a_file_read_without_its_header_says_so(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, USERS, csv(tmp_path, "userId\n1\n", columns={"user_id": "userId"}, options={}))
    assert 'header = "true"' in str(error.action)


def test_the_second_of_two_sources_is_named(spark: SparkSession, tmp_path: Path) -> None:
    good, bad = csv(tmp_path, "u\n1\n", columns={"user_id": "u"}), csv(tmp_path, "u\n1\n", columns={"user_id": "v"})
    assert refused(spark, USERS, good, bad).where == "sources.users[1].columns.user_id"


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"columns": {"user_id": "upper(u"}}, "columns.user_id", "not valid Spark SQL"),
        ({"columns": {"user_id": "uper(u)"}}, "columns.user_id", "SQL function `uper` does not exist"),
        ({"columns": {"user_id": "substring(u)"}}, "columns.user_id", "cannot be evaluated"),
        ({"columns": {"user_id": "u", "interest_tags": "collect_set(u)"}}, "columns.interest_tags", "Add `group_by`"),
        ({"columns": {"user_id": "u"}, "group_by": ["w"]}, "group_by", "Column `w` does not exist in the source"),
        (
            {"columns": {"user_id": "u", "interest_tags": "array(x)"}, "group_by": ["u"]},
            "columns.interest_tags",
            "max(x)",
        ),
        ({"columns": {"user_id": "u"}, "where": "u > "}, "where", "not valid Spark SQL"),
        ({"columns": {"user_id": "u"}, "where": "v > 1"}, "where", "Column `v` does not exist in the source"),
        ({"columns": {"user_id": "u"}, "where": "u"}, "where", "Write a comparison"),
        ({"columns": {"user_id": "u", "interest_tag": "x"}}, "columns", "Did you mean `interest_tags`?"),
        ({"columns": {"interest_tags": "array(x)"}}, "columns", "No expression is given for `user_id`"),
        ({"columns": {"user_id": "u"}, "options": {"encoding": "klingon"}}, "path", "klingon"),
    ],
)
def test_a_wrong_mapping_is_refused_where_it_stands(
    spark: SparkSession, tmp_path: Path, changes: dict[str, Any], where: str, said: str
) -> None:
    error = refused(spark, USERS, csv(tmp_path, "u,x\n1,2\n", **changes))
    assert error.where == f"sources.users.{where}"
    assert said in str(error)
    assert error.action
    assert "Project [" not in str(error)


WRONG_TYPES = [
    ("items.tags", "'a|b'", "array<string>", "split"),
    ("items.tags", "array(array('a'))", "array<string>", "split"),
    ("items.attributes", "'red'", "map<string,string>", "map('brand'"),
    ("items.attributes", "named_struct('a', 1)", "map<string,string>", "map('brand'"),
    ("items.available", "3", "boolean", "comparison"),
    ("items.title", "array('a')", "string", "array_join"),
    ("items.item_id", "1.0D", "string or integer", "cast(cast(x as bigint) as string)"),
    ("items.item_id", "1.50", "string or integer", "cast(cast(x as bigint) as string)"),
    ("items.item_id", "null", "string or integer", "one column"),
    ("items.item_id", "X'00'", "string or integer", "one column"),
    ("behaviours.ts", "1748736000", "timestamp, date or string", "timestamp_seconds"),
    ("behaviours.ts", "array('x')", "timestamp, date or string", "to_timestamp"),
    ("behaviours.value", "true", "a number", "cast(x as double)"),
    (
        "items.tags",
        "from_json(u, 'array<struct<id:int,name:string>>')",
        "array<string>",
        "'array<struct<id:int,name:string>>')).name.",
    ),
    ("items.title", "from_json(u, 'struct<id:int,de:string>')", "string", ").de."),
    ("items.tags", "from_json(u, 'struct<name:string>')", "array<string>", "array((from_json("),
]


@pytest.mark.parametrize("case", WRONG_TYPES, ids=lambda case: f"{case[0]}={case[1]}")
def test_a_wrong_type_says_what_to_write(spark: SparkSession, tmp_path: Path, case: tuple[str, str, str, str]) -> None:
    target, expression, expected, action = case
    table, name = CONTRACT[target.split(".")[0]].table, target.split(".")[1]
    columns = {col.name: "u" for col in table.columns if not col.nullable}
    error = refused(spark, table, csv(tmp_path, "u\n1\n", columns={**columns, name: expression}))
    assert error.where == f"sources.{table.name}.columns.{name}"
    assert error.expected == expected
    assert action in str(error.action)


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"on": ["key"]}, "on", "`key` does not exist on the source's side"),
        ({"on": ["u"], "columns": {"w": "v"}}, "on", "`u` does not exist among the `columns` of the join"),
        ({"columns": {"u": "u", "x": "v"}}, "columns", "Both sides of the join have a column `x`"),
        ({"columns": {"u": "nope"}}, "columns.u", "Column `nope` does not exist in the source"),
        ({"path": "/nowhere/at/all.csv"}, "path", "does not exist"),
    ],
)
def test_a_wrong_join_is_refused_where_it_stands(
    spark: SparkSession, tmp_path: Path, changes: dict[str, Any], where: str, said: str
) -> None:
    side = {**csv(tmp_path, "u,v\n1,2\n", "side.csv", on=["u"], columns={"u": "u"}), **changes}
    error = refused(spark, USERS, csv(tmp_path, "u,x\n1,2\n", columns={"user_id": "u"}, join=[side]))
    assert error.where == f"sources.users.join.{where}"
    assert said in str(error)


@pytest.mark.parametrize(("sep", "written"), [(";", '";"'), ("\t", r'"\t"'), ("|", '"|"')])
def test_another_separator_is_suggested(spark: SparkSession, tmp_path: Path, sep: str, written: str) -> None:
    error = refused(spark, USERS, csv(tmp_path, f"u{sep}x\n1{sep}2\n", columns={"user_id": "u"}))
    assert f"sep = {written}" in str(error.action)
