"""Expressions of keys come from the source, and an expression that raises sets one row aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.contract import BEHAVIOURS, ITEMS, RELATIONS, USERS
from recsys_spark.ingest.sources import Mapped
from tests.ingest.source_files import csv, read, refused

EVENTS = {"user_id": "uid", "item_id": "i", "behaviour": "b", "ts": "t"}
TEXT = "uid,i,b,t,n,big,shop\nu1,i1,x,2025-01-01,5,1,a\nu2,i2,x,2025-01-02,9,9223372036854775807,b\n"
TWO_BAD = TEXT + "u3,i3,x,2025-01-02,9,9223372036854775807,b\nu4,i4,x,2025-01-03,4,2,a\n"


def by_reason(mapped: Mapped) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in mapped.rejected.orderBy("row").collect():
        found.setdefault(row.reason, []).append(json.loads(row.row))
    return found


@pytest.mark.parametrize("column", ["user_id", "item_id", "ts"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user", "Column `user` does not exist"),
        ("current_user", "Column `current_user` does not exist"),
        ("session_user", "Column `session_user` does not exist"),
        ("concat(shop, user)", "Column `user` does not exist"),
        ("coalesce(current_date, shop)", "Column `current_date` does not exist"),
        ("uid extra", "a word too many"),
        ("user id", "a word too many"),
        ("current_timestamp()", "reads no column"),
        ("'2025-01-01'", "reads no column"),
        ("cast(7 as string)", "reads no column"),
        ("null", "wrong type"),
        ("uuid()", "reads no column"),
        ("upper(concat('a', 'b'))", "reads no column"),
    ],
)
def test_a_key_that_does_not_come_from_the_source_is_refused(
    spark: SparkSession, tmp_path: Path, column: str, text: str, says: str
) -> None:
    error = refused(spark, BEHAVIOURS, csv(tmp_path, TEXT, columns={**EVENTS, column: text}))
    assert says in error.what
    assert error.where == f"sources.behaviours.columns.{column}"
    assert text in str(error.found)


@pytest.mark.parametrize("text", ["user", "user id", "concat('a', 'b')"])
def test_so_is_a_friend(spark: SparkSession, tmp_path: Path, text: str) -> None:
    columns = {"user_id": "uid", "friend_id": text}
    assert (
        refused(spark, RELATIONS, csv(tmp_path, TEXT, columns=columns)).where == "sources.relations.columns.friend_id"
    )


@pytest.mark.parametrize(
    "source",
    [
        {"where": "shop = user"},
        {"where": "t < current_date"},
        {"columns": {"user_id": "uid", "interest_tags": "array(user)"}},
        {"group_by": ["user"], "columns": {"user_id": "max(uid)"}},
    ],
)
def test_a_bare_word_is_a_column_everywhere(spark: SparkSession, tmp_path: Path, source: dict[str, Any]) -> None:
    error = refused(spark, USERS, csv(tmp_path, TEXT, **{"columns": {"user_id": "uid"}, **source}))
    assert "does not exist in the source" in error.what
    assert "as a function" in str(error.found)


def test_a_similar_column_is_suggested(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(
        spark, BEHAVIOURS, csv(tmp_path, TEXT.replace("uid", "user_"), columns={**EVENTS, "user_id": "user"})
    )
    assert error.action == "Did you mean `user_`?"


def test_a_column_with_a_name_like_the_key_is_suggested(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, BEHAVIOURS, csv(tmp_path, TEXT, columns={**EVENTS, "user_id": "user"}))
    assert error.action == "Did you mean `uid`?"
    error = refused(spark, BEHAVIOURS, csv(tmp_path, TEXT, columns={**EVENTS, "value": "length(user)"}))
    assert error.action == "For the function write user()."


@pytest.mark.parametrize("text", ["timestamp '2025-01-01 00:00:00'", "date '2025-01-01'"])
def test_one_time_for_all_rows_is_a_typed_literal(spark: SparkSession, tmp_path: Path, text: str) -> None:
    mapped = read(spark, BEHAVIOURS, csv(tmp_path, TEXT, columns={**EVENTS, "ts": text}))
    assert [str(row.ts.date()) for row in mapped.accepted.collect()] == ["2025-01-01"] * 2


@pytest.mark.parametrize("text", ["uid", "UID", "uid as user_id", "upper(uid)", "concat('u', n)", "`uid`"])
def test_a_key_may_be_any_expression_over_the_source(spark: SparkSession, tmp_path: Path, text: str) -> None:
    assert read(spark, BEHAVIOURS, csv(tmp_path, TEXT, columns={**EVENTS, "user_id": text})).accepted.count() == 2


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("ts", "timestamp_seconds(cast(big as bigint))", "bad_ts"),
        ("ts", "timestamp_millis(cast(big as bigint))", "bad_ts"),
        ("ts", "from_utc_timestamp(t, if(n > 5, 'Mars/Olympus', 'UTC'))", "bad_ts"),
        ("ts", "if(n > 5, raise_error('no'), t)", "bad_ts"),
        ("ts", "nullif(timestamp_seconds(cast(big as bigint)), timestamp '1990-01-01')", "bad_ts"),
        ("value", "if(timestamp_seconds(cast(big as bigint)) between '1960-01-01' and t, 1, 2)", "bad_value"),
        ("user_id", "concat(uid, element_at(array('a'), if(n > 5, 0, 1)))", "bad_id"),
        ("item_id", "regexp_replace(i, if(n > 5, '(', 'x'), '')", "bad_id"),
        ("behaviour", "if(n > 5, raise_error('no'), b)", "bad_value"),
        ("value", "from_json(if(n > 5, 'x', '{\"a\": 1}'), 'a double', map('mode', 'FAILFAST')).a", "bad_value"),
        ("value", "cast(assert_true(n < 6) as double)", "bad_value"),
        ("value", "cast(n as int) * 400000000", "bad_value"),
        ("value", "cast(n as int) + 2147483642", "bad_value"),
        ("value", "2147483642 - -cast(n as int)", "bad_value"),
        ("ts", "timestamp_seconds(cast(n as int) * 400000000 - 400000000 * cast(n as int))", "bad_ts"),
    ],
)
def test_an_expression_that_raises_sets_one_row_aside(
    spark: SparkSession, tmp_path: Path, column: str, text: str, reason: str
) -> None:
    mapped = read(spark, BEHAVIOURS, csv(tmp_path, TWO_BAD, columns={**EVENTS, column: text}))
    assert sorted(row.user_id[:2] for row in mapped.accepted.collect()) == ["u1", "u4"]
    assert {why: sorted(row["uid"] for row in rows) for why, rows in by_reason(mapped).items()} == {
        reason: ["u2", "u3"]
    }


def test_a_null_key_of_a_map_and_a_condition_that_raises_leave_other_rows_as_they_are(
    spark: SparkSession, tmp_path: Path
) -> None:
    text = "id,pairs,null_key,n\n1,a=1&a=2,x,1\n2,b=1,x,1\n3,c=1,x,0\n4,d=1,x,-1\n5,e=1,,1\n6,f=1,,1\n7,g=1,x,1\n"
    source = csv(
        tmp_path,
        text,
        where="if(n < 0, raise_error('no'), n > 0)",
        columns={
            "item_id": "id",
            "title": "id",
            "attributes": "map_concat(str_to_map(pairs, '&', '='), map('k', id, null_key, id))",
        },
    )
    mapped = read(spark, ITEMS, source)
    assert {row.item_id: row.attributes for row in mapped.accepted.collect()} == {
        "1": {"a": "2", "k": "1", "x": "1"},
        "2": {"b": "1", "k": "2", "x": "2"},
        "7": {"g": "1", "k": "7", "x": "7"},
    }
    found = by_reason(mapped)
    assert {reason: [row["id"] for row in rows] for reason, rows in found.items()} == {
        "bad_value": ["5", "6"],
        "bad_where": ["4"],
    }
    account = mapped.accounts[0]
    assert (account.read, account.filtered, account.rejected, account.accepted) == (7, 1, 3, 3)


def test_arithmetic_on_empty_cells_and_times_is_not_an_error(spark: SparkSession, tmp_path: Path) -> None:
    columns = {
        **EVENTS,
        "value": "cast(n as int) * 2",
        "ts": "cast(t as timestamp) + interval 1 day - interval 25 hours",
    }
    found = read(spark, BEHAVIOURS, csv(tmp_path, TEXT.replace("n\n", "n\n", 1), columns=columns)).accepted.collect()
    assert len(found) == 2
    empty = csv(
        tmp_path,
        "uid,n\nu1,\nu2,3\n",
        columns={"user_id": "uid", "attributes": "map('n', cast(cast(n as int) * 2 as string))"},
    )
    assert {row.user_id: row.attributes for row in read(spark, USERS, empty).accepted.collect()} == {
        "u1": {"n": None},
        "u2": {"n": "6"},
    }


def test_a_row_whose_sum_overflows_does_not_enter_its_group(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(
        tmp_path,
        "id,n\n1,1\n1,9\n2,3\n",
        group_by=["id"],
        columns={
            "user_id": "id",
            "interest_tags": "transform(collect_list(cast(n as int) * 400000000), x -> string(x))",
        },
    )
    mapped = read(spark, USERS, source)
    assert {row.user_id: row.interest_tags for row in mapped.accepted.collect()} == {
        "1": ["400000000"],
        "2": ["1200000000"],
    }
    assert {reason: [row["n"] for row in rows] for reason, rows in by_reason(mapped).items()} == {"bad_value": ["9"]}


def test_a_row_that_raises_does_not_enter_its_group(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(
        tmp_path,
        "id,pairs\n1,no\n1,b\n2,c\n3,no\n",
        group_by=["id"],
        columns={"user_id": "id", "interest_tags": "flatten(collect_list(map_keys(map(nullif(pairs, 'no'), 1))))"},
    )
    mapped = read(spark, USERS, source)
    assert {row.user_id: row.interest_tags for row in mapped.accepted.collect()} == {"1": ["b"], "2": ["c"]}
    assert [row["id"] for row in by_reason(mapped)["bad_value"]] == ["1", "3"]
    account = mapped.accounts[0]
    assert (account.read, account.rejected, account.accepted, account.reshaped) == (4, 2, 2, 0)


def test_a_group_that_raises_is_set_aside(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(
        tmp_path,
        "id,n\n1,1\n1,2\n2,9\n",
        group_by=["id"],
        columns={"user_id": "id", "interest_tags": "array(if(max(n) > 5, raise_error('no'), max(n)))"},
    )
    mapped = read(spark, USERS, source)
    assert [row.user_id for row in mapped.accepted.collect()] == ["1"]
    assert by_reason(mapped) == {"bad_value": [{"user_id": "2", "interest_tags": None}]}
    assert mapped.accounts[0].reshaped == -1


def test_a_generator_makes_several_rows_of_the_good_ones(spark: SparkSession, tmp_path: Path) -> None:
    source = csv(
        tmp_path,
        "uid,items,n\nu1,a|b|c,1\nu2,d,2\nu3,e,-1\n",
        columns={
            "user_id": "uid",
            "item_id": "explode(split(if(n < 0, raise_error('no'), items), '[|]'))",
            "behaviour": "'view'",
            "ts": "date '2025-01-01'",
        },
    )
    mapped = read(spark, BEHAVIOURS, source)
    assert sorted((row.user_id, row.item_id) for row in mapped.accepted.collect()) == [
        ("u1", "a"),
        ("u1", "b"),
        ("u1", "c"),
        ("u2", "d"),
    ]
    assert [row["uid"] for row in by_reason(mapped)["bad_id"]] == ["u3"]
    assert mapped.accounts[0].reshaped == 2


def test_a_side_row_that_raises_is_set_aside_and_the_rest_is_joined(spark: SparkSession, tmp_path: Path) -> None:
    side = {
        **csv(tmp_path, "k,v\n1,5\n2,9\n2,1\n", "side.csv"),
        "on": ["id"],
        "columns": {"id": "k", "tag": "if(v > 5, raise_error('no'), v)"},
    }
    source = csv(tmp_path, "id\n1\n2\n3\n", join=[side], columns={"item_id": "id", "title": "coalesce(tag, 'none')"})
    mapped = read(spark, ITEMS, source)
    assert {row.item_id: row.title for row in mapped.accepted.collect()} == {"1": "5", "2": "1", "3": "none"}
    assert by_reason(mapped) == {"bad_value": [{"k": "2", "v": "9"}]}
    assert [(a.source, a.read, a.rejected, a.accepted) for a in mapped.accounts] == [
        ("sources.items", 3, 0, 3),
        ("sources.items.join", 3, 1, 2),
    ]
