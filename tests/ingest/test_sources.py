"""The user's tables become contract tables: good rows typed, bad rows with a reason."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sources import Source
from recsys_spark.contract import ALLOW_LIST, BEHAVIOURS, DENY_LIST, ITEMS, RELATIONS, SELECTED_USERS, USERS
from recsys_spark.ingest.sources import Mapped, read_table
from recsys_spark.schema import Table
from recsys_spark.tables import REJECTED_ROWS
from tests.ingest.source_files import NOW, csv, read, refused

EVENTS = {"user_id": "u", "item_id": "i", "behaviour": "b", "ts": "t"}


def reasons(mapped: Mapped) -> list[str]:
    return sorted(row.reason for row in mapped.rejected.collect())


def column(df: DataFrame, name: str) -> list[Any]:
    return [row[name] for row in df.orderBy(df.columns[0]).collect()]


def test_columns_are_mapped_typed_and_in_order(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(tmp_path, "u,i,b,t,v\n1,007,like,2025-06-01 12:00:00,2.5\n", columns={**EVENTS, "value": "v"})
    mapped = read(spark, BEHAVIOURS, source)
    assert mapped.accepted.schema.simpleString() == BEHAVIOURS.schema.simpleString()
    assert mapped.rejected.columns == REJECTED_ROWS.names
    row = mapped.accepted.select("*", F.date_format("ts", "yyyy-MM-dd HH:mm:ss").alias("t")).collect()[0]
    assert [row.user_id, row.item_id, row.behaviour, row.value] == ["1", "007", "like", 2.5]
    assert row.t == "2025-06-01 12:00:00"
    assert mapped.rejected.isEmpty()


def test_unmapped_columns_are_typed_nulls_with_their_defaults(spark: SparkSession, tmp_path: Path) -> None:
    items = read(spark, ITEMS, csv(tmp_path, "id\na\n", columns={"item_id": "id", "title": "null"})).accepted
    assert items.schema.simpleString() == ITEMS.schema.simpleString()
    assert items.collect()[0].asDict() == {
        **dict.fromkeys(ITEMS.names),
        "item_id": "a",
        "available": True,
    }
    friends = csv(tmp_path, "a,b,w\n1,2,\n3,4,0.5\n", columns={"user_id": "a", "friend_id": "b", "weight": "w"})
    assert column(read(spark, RELATIONS, friends).accepted, "weight") == [1.0, 0.5]


def test_integer_ids_become_strings_of_any_script(spark: SparkSession, tmp_path: Path) -> None:
    spark.createDataFrame([(2**53 + 1, "用户 😀"), (7, "ü")], "n long, s string").write.parquet(str(tmp_path / "p"))
    source = {
        "format": "parquet",
        "path": str(tmp_path / "p"),
        "columns": {"user_id": "n", "interest_tags": "array(s)"},
    }
    accepted = read(spark, USERS, source).accepted
    assert {(r.user_id, r.interest_tags[0]) for r in accepted.collect()} == {
        ("9007199254740993", "用户 😀"),
        ("7", "ü"),
    }


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("t", "2025-06-01 00:00:00"),
        ("to_date(t)", "2025-06-01 00:00:00"),
        ("to_timestamp(t)", "2025-06-01 00:00:00"),
        ("timestamp_seconds(cast(s as bigint))", "2025-06-01 00:00:00"),
        ("to_timestamp_ntz(t)", "2025-06-01 00:00:00"),
    ],
)
def test_a_moment_may_be_string_date_or_timestamp(
    spark: SparkSession, tmp_path: Path, expression: str, expected: str
) -> None:
    source = csv(tmp_path, "u,i,b,t,s\n1,1,x,2025-06-01,1748736000\n", columns={**EVENTS, "ts": expression})
    accepted = read(spark, BEHAVIOURS, source).accepted
    assert accepted.select(F.date_format("ts", "yyyy-MM-dd HH:mm:ss")).collect()[0][0] == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",i,b,2025-01-01,1", "null_id"),
        ("u,,b,2025-01-01,1", "null_id"),
        ('"  ",i,b,2025-01-01,1', "empty_id"),
        ("\u3000\u200b,i,b,2025-01-01,1", "empty_id"),
        ("é" * 257 + ",i,b,2025-01-01,1", "id_too_long"),
        ("u,i,b,,1", "bad_ts"),
        ("u,i,b,the day before,1", "bad_ts"),
        ("u,i,b,2026-01-01,1", "future_ts"),
        ("u,i,,2025-01-01,1", "null_behaviour"),
        ("u,i,b,2025-01-01,NaN", "bad_value"),
        ("u,i,b,2025-01-01,Infinity", "bad_value"),
        ("u,i,b,2025-01-01,-0.5", "bad_value"),
        ("u,i,b,2025-01-01,many", "bad_value"),
        ("u", "bad_row"),
    ],
)
def test_a_bad_behaviour_is_rejected_with_its_reason(
    spark: SparkSession, tmp_path: Path, line: str, reason: str
) -> None:
    good = "é" * 256 + ",i,b,2025-12-31 23:59:59,"
    mapped = read(spark, BEHAVIOURS, csv(tmp_path, f"u,i,b,t,v\n{line}\n{good}\n", columns={**EVENTS, "value": "v"}))
    assert reasons(mapped) == [reason]
    assert column(mapped.accepted, "user_id") == ["é" * 256]
    assert column(mapped.accepted, "value") == [None]


def test_a_rejected_row_shows_the_source_columns(spark: SparkSession, tmp_path: Path) -> None:
    mapped = read(spark, BEHAVIOURS, csv(tmp_path, "u,i,b,t,extra\n,9,like,2025-01-01,hello\n", columns=EVENTS))
    rejected = mapped.rejected.collect()[0]
    assert rejected.table == "behaviours"
    assert json.loads(rejected.row) == {"u": None, "i": "9", "b": "like", "t": "2025-01-01", "extra": "hello"}


def test_relations_with_oneself_or_without_closeness_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    columns = {"user_id": "a", "friend_id": "b", "weight": "w"}
    mapped = read(spark, RELATIONS, csv(tmp_path, "a,b,w\n1,1,1\n1,2,-1\n1,3,0\n1,4,1\n", columns=columns))
    assert reasons(mapped) == ["bad_value", "bad_value", "self_relation"]
    assert column(mapped.accepted, "friend_id") == ["4"]


@pytest.mark.parametrize("table", [ALLOW_LIST, DENY_LIST, SELECTED_USERS])
@pytest.mark.parametrize("bad", ["null_id", "empty_id", "id_too_long"])
def test_a_list_row_without_a_usable_id_is_rejected(
    spark: SparkSession, tmp_path: Path, table: Table, bad: str
) -> None:
    ids = {"null_id": "", "empty_id": '" "', "id_too_long": "x" * 513}
    columns = dict.fromkeys(table.names, "n") | {table.names[-1]: "id"}
    mapped = read(spark, table, csv(tmp_path, f"n,id\n1,{ids[bad]}\n2,7\n", columns=columns))
    assert [(row.table, row.reason) for row in mapped.rejected.collect()] == [(table.name, bad)]
    assert mapped.accepted.columns == table.names
    assert column(mapped.accepted, table.names[-1]) == ["7"]


def test_a_list_may_be_a_text_file_of_ids(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("u1\n用户\n", encoding="utf-8")
    source = {"format": "text", "path": str(tmp_path / "ids.txt"), "columns": {"user_id": "value"}}
    assert sorted(column(read(spark, SELECTED_USERS, source).accepted, "user_id")) == ["u1", "用户"]


def test_one_bad_row_does_not_stop_the_job_while_the_session_is_ansi(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.ansi.enabled", "true")
    columns = {**EVENTS, "ts": "timestamp_seconds(cast(t as bigint))", "value": "cast(v as double) / cast(n as int)"}
    text = "u,i,b,t,v,n\n1,1,x,abc,1,1\n2,1,x,1700000000,1,0\n3,1,x,1700000000,6,2\n"
    mapped = read(spark, BEHAVIOURS, csv(tmp_path, text, columns=columns))
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert reasons(mapped) == ["bad_ts"]
    assert column(mapped.accepted, "value") == [None, 3.0]


@pytest.mark.parametrize("ansi", ["true", "false"])
def test_the_sessions_mode_is_restored_after_an_error_too(spark: SparkSession, tmp_path: Path, ansi: str) -> None:
    before = str(spark.conf.get("spark.sql.ansi.enabled"))
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        refused(spark, USERS, csv(tmp_path, "u\n1\n", columns={"user_id": "nope"}))
        assert spark.conf.get("spark.sql.ansi.enabled") == ansi
        assert not logging.getLogger("SQLQueryContextLogger").disabled
    finally:
        spark.conf.set("spark.sql.ansi.enabled", before)


def test_rows_are_filtered_before_they_are_mapped(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(tmp_path, "u,age\n1,20\n,5\n3,abc\n", where="cast(age as int) >= 18", columns={"user_id": "u"})
    mapped = read(spark, USERS, source)
    assert column(mapped.accepted, "user_id") == ["1"]
    assert mapped.rejected.isEmpty()


def test_several_sources_and_several_files_are_put_together(spark: SparkSession, tmp_path: Path) -> None:
    csv(tmp_path, "u,i,b,t\n1,a,buy,2025-01-01\n", "part-1.csv")
    csv(tmp_path, "u,i,b,t\n2,a,buy,2025-01-01\n,a,buy,2025-01-01\n", "part-2.csv")
    parts = csv(tmp_path, "u,i,b,t\n3,a,buy,2025-01-01\n", "part-3.csv", columns=EVENTS)
    parts["path"] = parts["path"].replace("part-3", "part-*")
    plays = csv(tmp_path, "who,what,hours\n4,a,2\n", "plays.csv")
    plays["columns"] = {
        "value": "hours",
        "behaviour": "'play'",
        "item_id": "what",
        "ts": "date'2025-02-01'",
        "user_id": "who",
    }
    mapped = read(spark, BEHAVIOURS, parts, plays)
    assert [(r.user_id, r.behaviour, r.value) for r in mapped.accepted.orderBy("user_id").collect()] == [
        ("1", "buy", None),
        ("2", "buy", None),
        ("3", "buy", None),
        ("4", "play", 2.0),
    ]
    assert reasons(mapped) == ["null_id"]


def test_a_catalog_table_is_read_by_name(spark: SparkSession) -> None:
    spark.createDataFrame([("u1", ["jazz"])], "id string, likes array<string>").createOrReplaceTempView("people")
    source = {"table": "people", "columns": {"user_id": "id", "interest_tags": "likes"}}
    assert read(spark, USERS, source).accepted.collect()[0].interest_tags == ["jazz"]


def test_side_tables_are_grouped_joined_and_grouped_again(spark: SparkSession, tmp_path: Path) -> None:
    counted = csv(
        tmp_path,
        "who,artist,tag\nx,a,1\ny,a,1\nx,a,2\nx,b,2\n",
        "tagged.csv",
        group_by=["artist", "tag"],
        columns={"artist": "artist", "tag": "tag", "n": "count(*)"},
        on=["tag"],
    )
    tags = csv(
        tmp_path,
        "tag,name\n1,rock\n2,jazz\n3,unused\n",
        "tags.csv",
        join=[counted],
        group_by=["artist"],
        columns={"id": "artist", "tags": "transform(array_sort(collect_list(struct(-n, name))), t -> t.name)"},
        on=["id"],
    )
    items = csv(
        tmp_path,
        "id,name\na,Abba\nb,Björk\nc,Cher\n",
        "artists.csv",
        join=[tags],
        columns={"item_id": "id", "title": "name", "tags": "tags"},
    )
    mapped = read(spark, ITEMS, items)
    assert {(r.item_id, r.title): r.tags for r in mapped.accepted.collect()} == {
        ("a", "Abba"): ["rock", "jazz"],
        ("b", "Björk"): ["jazz"],
        ("c", "Cher"): None,
    }
    assert mapped.rejected.isEmpty()


def test_a_group_key_may_have_a_contract_columns_name(spark: SparkSession, tmp_path: Path) -> None:
    columns = {"user_id": "user_id", "interest_tags": "array_sort(collect_set(tag))"}
    source = csv(tmp_path, "user_id,tag\n1,b\n1,a\n1,a\n,c\n", group_by=["user_id"], columns=columns)
    mapped = read(spark, USERS, source)
    assert [(r.user_id, r.interest_tags) for r in mapped.accepted.collect()] == [("1", ["a", "b"])]
    assert json.loads(mapped.rejected.collect()[0].row) == {"user_id": None, "interest_tags": ["c"]}


def test_a_flag_may_be_text_but_not_nonsense(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(tmp_path, "id,ok\na,false\nb,\nc,perhaps\n", columns={"item_id": "id", "available": "ok"})
    mapped = read(spark, ITEMS, source)
    assert column(mapped.accepted, "available") == [False, True]
    assert reasons(mapped) == ["bad_value"]


def test_a_source_is_read_once(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(tmp_path, 'id\n1\n" "\n', columns={"user_id": "id"})
    calls = []

    def stage(name: str, rows: DataFrame) -> DataFrame:
        calls.append(name)
        rows.write.parquet(str(tmp_path / name))
        (tmp_path / "file.csv").unlink()
        return spark.read.parquet(str(tmp_path / name))

    table = read_table(spark, USERS, [Source.model_validate(source)], where="sources.users", now=NOW, stage=stage)
    assert column(table.accepted, "user_id") == ["1"]
    assert reasons(table) == ["empty_id"]
    assert calls == ["users-0"]


def test_a_moment_just_before_now_is_not_from_the_future(spark: SparkSession, tmp_path: Path) -> None:
    last = (NOW - timedelta(microseconds=1)).isoformat()
    mapped = read(spark, BEHAVIOURS, csv(tmp_path, f"u,i,b,t\n1,1,x,{last}\n2,1,x,{NOW.isoformat()}\n", columns=EVENTS))
    assert column(mapped.accepted, "user_id") == ["1"]
    assert reasons(mapped) == ["future_ts"]
