"""Ingest: one row per item, user and pair; known items only; nothing at or after as_of; every loss has a reason."""

from __future__ import annotations

import json
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import Observation, SparkSession

from recsys_spark.contract import (
    ALLOW_LIST,
    BEHAVIOURS,
    DENY_LIST,
    INTERACTIONS,
    ITEMS,
    RELATIONS,
    SELECTED_USERS,
    USERS,
)
from recsys_spark.ingest.build import build_ingest, one_row_per_id
from recsys_spark.tables import REJECTED_ROWS
from tests.builders import AS_OF, frame, interaction, item
from tests.ingest.ingest_inputs import allow, catalogue, check, deny, ingest, mapped, rows, select, values


def test_equal_rows_are_merged_and_not_rejected(spark: SparkSession) -> None:
    album = item("i1", tags=["a", "b"], attributes={"x": "1", "y": "2"})
    same = {**album, "attributes": {"y": "2", "x": "1"}}
    person = {"user_id": "u1", "interest_tags": ["jazz"], "attributes": {"city": "Genève"}}
    done = ingest(
        spark, [interaction(), interaction(), interaction(value=1.0)], [album, same, album], [person, person], []
    )
    assert done[ITEMS].count() == 1
    assert done[USERS].count() == 1
    assert sorted(str(row.value) for row in done[INTERACTIONS].collect()) == ["1.0", "None"]
    assert done[REJECTED_ROWS].isEmpty()
    assert done[INTERACTIONS].columns == INTERACTIONS.names


def test_of_one_items_contents_the_first_by_content_stays(spark: SparkSession) -> None:
    contents = [item("i1", "Beta"), item("i1", "Alpha"), {"item_id": "i1", "title": None}, item("i1", "Beta")]
    for order in (contents, contents[::-1]):
        done = ingest(spark, items=order)
        assert [row.title for row in done[ITEMS].collect()] == ["Alpha"]
        rejected = rows(done[REJECTED_ROWS])
        assert {(r["table"], r["reason"]) for r in rejected} == {("items", "duplicate_item")}
        assert sorted(str(json.loads(r["row"])["title"]) for r in rejected) == ["Beta", "None"]


def test_one_user_with_two_contents_is_kept_once(spark: SparkSession) -> None:
    done = ingest(spark, users=[{"user_id": "u", "interest_tags": ["b"]}, {"user_id": "u", "interest_tags": ["a"]}])
    assert [row.interest_tags for row in done[USERS].collect()] == [["a"]]
    assert [row.reason for row in done[REJECTED_ROWS].collect()] == ["duplicate_user"]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.sampled_from(["x", "y", "<\"'😀"])), max_size=12))
def test_one_row_per_id_keeps_every_id_and_loses_no_content(
    spark: SparkSession, drawn: list[tuple[str, str | None]]
) -> None:
    given_rows = frame(spark, ITEMS, [{"item_id": i, "title": t, "available": True} for i, t in drawn])
    kept, others = one_row_per_id(given_rows.repartition(3), ITEMS, "duplicate_item", Observation())
    left = [(row.item_id, row.title) for row in kept.collect()]
    lost = [(r["item_id"], r["title"]) for r in (json.loads(row.row) for row in others.collect())]
    assert sorted(i for i, _ in left) == sorted({i for i, _ in drawn})
    assert sorted(map(str, left + lost)) == sorted(map(str, set(drawn)))


def test_behaviours_on_unknown_items_are_rejected(spark: SparkSession) -> None:
    done = ingest(spark, [interaction(item="i1"), interaction(item="i9")], [item("i1")])
    assert [row.item_id for row in done[INTERACTIONS].collect()] == ["i1"]
    (rejected,) = rows(done[REJECTED_ROWS])
    assert (rejected["table"], rejected["reason"]) == ("behaviours", "unknown_item")
    assert json.loads(rejected["row"])["item_id"] == "i9"


def test_behaviours_from_as_of_on_are_neither_used_nor_rejected(spark: SparkSession) -> None:
    microsecond = timedelta(microseconds=1) / timedelta(days=1)
    moments = [interaction("at", days_ago=0), interaction("after", days_ago=-3), interaction("before")]
    moments += [interaction("just", days_ago=microsecond), interaction("later", item="i9", days_ago=-3)]
    done = ingest(spark, moments, [item("i1")])
    assert sorted(row.user_id for row in done[INTERACTIONS].collect()) == ["before", "just"]
    assert done[REJECTED_ROWS].isEmpty()


def test_held_out_pairs_are_hidden_with_all_their_behaviours(spark: SparkSession) -> None:
    behaviours = [
        interaction("u1", "i1"),
        interaction("u1", "i1", "purchase"),
        interaction("u1", "i2"),
        interaction("u2", "i1"),
    ]
    held_out = spark.createDataFrame([("u1", "i1")], "user_id string, item_id string")
    done = ingest(spark, behaviours, [item("i1"), item("i2")], held_out=held_out)
    assert sorted((r.user_id, r.item_id) for r in done[INTERACTIONS].collect()) == [("u1", "i2"), ("u2", "i1")]
    assert done[REJECTED_ROWS].isEmpty()


def test_extra_users_are_added_where_they_are_absent(spark: SparkSession) -> None:
    extra = spark.createDataFrame([("u1",), ("u2",), ("u2",)], "user_id string")
    done = ingest(spark, users=[{"user_id": "u1", "interest_tags": ["jazz"]}], extra_users=extra)
    assert {row.user_id: row.interest_tags for row in done[USERS].collect()} == {"u1": ["jazz"], "u2": None}
    assert done[USERS].count() == 2
    assert sorted(row.user_id for row in ingest(spark, extra_users=extra)[USERS].collect()) == ["u1", "u2"]


def test_a_pair_of_friends_keeps_its_greatest_weight(spark: SparkSession) -> None:
    pairs = [("u", "f", 0.5), ("u", "f", 2.0), ("f", "u", 1.0), ("f", "u", 1.0)]
    done = ingest(spark, items=[item()], relations=[{"user_id": u, "friend_id": f, "weight": w} for u, f, w in pairs])
    assert sorted(tuple(row) for row in done[RELATIONS].collect()) == [("f", "u", 1.0), ("u", "f", 2.0)]
    assert done[REJECTED_ROWS].isEmpty()


def test_rows_that_the_sources_rejected_stay_rejected(spark: SparkSession) -> None:
    bad = [{"table": "items", "reason": "null_id", "row": "{}"}]
    done = build_ingest(
        {"behaviours": mapped(spark, BEHAVIOURS, []), "items": mapped(spark, ITEMS, [], bad)}, as_of=AS_OF
    )
    assert rows(done[REJECTED_ROWS]) == bad
    assert done[USERS].columns == USERS.names
    assert done[RELATIONS].columns == RELATIONS.names


def test_lists_keep_each_row_once(spark: SparkSession) -> None:
    done = ingest(
        spark,
        items=catalogue(2),
        allow_list=allow(spark, "i2", "i1", "i2"),
        deny_list=deny(spark, ("u1", "i1"), ("u1", "i1"), ("u2", "i1"), ("u1", "i2")),
        selected_users=select(spark, "u2", "u1", "u2"),
    )
    assert values(done[ALLOW_LIST]) == [("i1",), ("i2",)]
    assert values(done[DENY_LIST]) == [("u1", "i1"), ("u1", "i2"), ("u2", "i1")]
    assert values(done[SELECTED_USERS]) == [("u1",), ("u2",)]
    assert done[REJECTED_ROWS].isEmpty()


def test_list_rows_on_unknown_items_are_rejected(spark: SparkSession) -> None:
    lists = {
        "allow_list": allow(spark, "i1", "i9", "i9"),
        "deny_list": deny(spark, ("u1", "i1"), ("u1", "i8"), ("u2", "i8")),
    }
    done = ingest(spark, items=catalogue(1), **lists)
    assert values(done[ALLOW_LIST]) == [("i1",)]
    assert values(done[DENY_LIST]) == [("u1", "i1")]
    rejected = [(r["table"], r["reason"], json.loads(r["row"])) for r in rows(done[REJECTED_ROWS])]
    assert rejected == [
        ("allow_list", "unknown_item", {"item_id": "i9"}),
        ("allow_list", "unknown_item", {"item_id": "i9"}),
        ("deny_list", "unknown_item", {"user_id": "u1", "item_id": "i8"}),
        ("deny_list", "unknown_item", {"user_id": "u2", "item_id": "i8"}),
    ]


def test_an_item_that_is_not_available_may_still_be_named(spark: SparkSession) -> None:
    done = ingest(
        spark, items=[item("i1", available=False)], allow_list=allow(spark, "i1"), deny_list=deny(spark, ("u", "i1"))
    )
    assert (values(done[ALLOW_LIST]), values(done[DENY_LIST])) == ([("i1",)], [("u", "i1")])
    assert done[REJECTED_ROWS].isEmpty()


def test_a_selected_user_who_is_unknown_becomes_a_user(spark: SparkSession) -> None:
    extra = spark.createDataFrame([("u3",), ("u4",)], "user_id string")
    done = ingest(
        spark,
        users=[{"user_id": "u1", "interest_tags": ["jazz"]}, {"user_id": "u2", "interest_tags": ["folk"]}],
        extra_users=extra,
        selected_users=select(spark, "u1", "u3", "u5"),
    )
    assert [(row.user_id, row.interest_tags) for row in done[USERS].orderBy("user_id").collect()] == [
        ("u1", ["jazz"]),
        ("u2", ["folk"]),
        ("u3", None),
        ("u4", None),
        ("u5", None),
    ]
    assert values(done[SELECTED_USERS]) == [("u1",), ("u3",), ("u5",)]


def test_a_denied_user_who_is_unknown_does_not_become_one(spark: SparkSession) -> None:
    done = ingest(spark, items=catalogue(1), deny_list=deny(spark, ("stranger", "i1")))
    assert values(done[DENY_LIST]) == [("stranger", "i1")]
    assert done[USERS].isEmpty()


def test_lists_that_are_not_given_are_empty_tables(spark: SparkSession) -> None:
    done = ingest(spark, [interaction()], catalogue())
    for table in (ALLOW_LIST, DENY_LIST, SELECTED_USERS):
        assert done[table].schema == table.schema
        assert done[table].isEmpty()
    check(done)
