"""Ingest: one row per item, user and pair; known items only; nothing at or after as_of; every loss has a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config import Config
from recsys_spark.errors import DataError
from recsys_spark.sources import Mapped
from recsys_spark.stages.ingest import Ingested, build_ingest, one_row_per_id, validate_ingested
from recsys_spark.tables import (
    ALLOW_LIST,
    BEHAVIOURS,
    DENY_LIST,
    INTERACTIONS,
    ITEMS,
    REJECTED_ROWS,
    RELATIONS,
    SELECTED_USERS,
    SERVING,
    USERS,
    Table,
)
from tests.builders import AS_OF, config, frame, interaction, item

Rows = Iterable[Mapping[str, Any]]


def mapped(spark: SparkSession, table: Table, rows: Rows, rejected: Rows = ()) -> Mapped:
    """Accepted rows as the sources give them, `available` and `weight` never null."""
    defaults = {"available": True, "weight": 1.0}
    return Mapped(frame(spark, table, [{**defaults, **row} for row in rows]), frame(spark, REJECTED_ROWS, rejected))


def ingest(
    spark: SparkSession,
    behaviours: Rows = (),
    items: Rows = (),
    users: Rows | None = None,
    relations: Rows | None = None,
    **more: Any,
) -> Ingested:
    return build_ingest(
        mapped(spark, BEHAVIOURS, behaviours),
        mapped(spark, ITEMS, items),
        None if users is None else mapped(spark, USERS, users),
        None if relations is None else mapped(spark, RELATIONS, relations),
        config(),
        as_of=AS_OF,
        **more,
    )


def rows(df: DataFrame) -> list[dict[str, Any]]:
    return sorted((row.asDict(recursive=True) for row in df.collect()), key=str)


def test_equal_rows_are_merged_and_not_rejected(spark: SparkSession) -> None:
    album = item("i1", tags=["a", "b"], attributes={"x": "1", "y": "2"})
    same = {**album, "attributes": {"y": "2", "x": "1"}}
    person = {"user_id": "u1", "interest_tags": ["jazz"], "attributes": {"city": "Genève"}}
    done = ingest(
        spark, [interaction(), interaction(), interaction(value=1.0)], [album, same, album], [person, person], []
    )
    assert done.items.count() == 1
    assert done.users.count() == 1
    assert sorted(str(row.value) for row in done.interactions.collect()) == ["1.0", "None"]
    assert done.rejected_rows.isEmpty()
    assert done.interactions.columns == INTERACTIONS.names


def test_of_one_items_contents_the_first_by_content_stays(spark: SparkSession) -> None:
    contents = [item("i1", "Beta"), item("i1", "Alpha"), {"item_id": "i1", "title": None}, item("i1", "Beta")]
    for order in (contents, contents[::-1]):
        done = ingest(spark, items=order)
        assert [row.title for row in done.items.collect()] == ["Alpha"]
        rejected = rows(done.rejected_rows)
        assert {(r["table"], r["reason"]) for r in rejected} == {("items", "duplicate_item")}
        assert sorted(str(json.loads(r["row"])["title"]) for r in rejected) == ["Beta", "None"]


def test_one_user_with_two_contents_is_kept_once(spark: SparkSession) -> None:
    done = ingest(spark, users=[{"user_id": "u", "interest_tags": ["b"]}, {"user_id": "u", "interest_tags": ["a"]}])
    assert [row.interest_tags for row in done.users.collect()] == [["a"]]
    assert [row.reason for row in done.rejected_rows.collect()] == ["duplicate_user"]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.sampled_from(["x", "y", "<\"'😀"])), max_size=12))
def test_one_row_per_id_keeps_every_id_and_loses_no_content(
    spark: SparkSession, drawn: list[tuple[str, str | None]]
) -> None:
    given_rows = frame(spark, ITEMS, [{"item_id": i, "title": t, "available": True} for i, t in drawn])
    kept, others = one_row_per_id(given_rows.repartition(3), ITEMS, "duplicate_item")
    left = [(row.item_id, row.title) for row in kept.collect()]
    lost = [(r["item_id"], r["title"]) for r in (json.loads(row.row) for row in others.collect())]
    assert sorted(i for i, _ in left) == sorted({i for i, _ in drawn})
    assert sorted(map(str, left + lost)) == sorted(map(str, set(drawn)))


def test_behaviours_on_unknown_items_are_rejected(spark: SparkSession) -> None:
    done = ingest(spark, [interaction(item="i1"), interaction(item="i9")], [item("i1")])
    assert [row.item_id for row in done.interactions.collect()] == ["i1"]
    (rejected,) = rows(done.rejected_rows)
    assert (rejected["table"], rejected["reason"]) == ("behaviours", "unknown_item")
    assert json.loads(rejected["row"])["item_id"] == "i9"


def test_behaviours_from_as_of_on_are_neither_used_nor_rejected(spark: SparkSession) -> None:
    microsecond = timedelta(microseconds=1) / timedelta(days=1)
    moments = [interaction("at", days_ago=0), interaction("after", days_ago=-3), interaction("before")]
    moments += [interaction("just", days_ago=microsecond), interaction("later", item="i9", days_ago=-3)]
    done = ingest(spark, moments, [item("i1")])
    assert sorted(row.user_id for row in done.interactions.collect()) == ["before", "just"]
    assert done.rejected_rows.isEmpty()


def test_held_out_pairs_are_hidden_with_all_their_behaviours(spark: SparkSession) -> None:
    behaviours = [
        interaction("u1", "i1"),
        interaction("u1", "i1", "purchase"),
        interaction("u1", "i2"),
        interaction("u2", "i1"),
    ]
    held_out = spark.createDataFrame([("u1", "i1")], "user_id string, item_id string")
    done = ingest(spark, behaviours, [item("i1"), item("i2")], held_out=held_out)
    assert sorted((r.user_id, r.item_id) for r in done.interactions.collect()) == [("u1", "i2"), ("u2", "i1")]
    assert done.rejected_rows.isEmpty()


def test_extra_users_are_added_where_they_are_absent(spark: SparkSession) -> None:
    extra = spark.createDataFrame([("u1",), ("u2",), ("u2",)], "user_id string")
    done = ingest(spark, users=[{"user_id": "u1", "interest_tags": ["jazz"]}], extra_users=extra)
    assert {row.user_id: row.interest_tags for row in done.users.collect()} == {"u1": ["jazz"], "u2": None}
    assert done.users.count() == 2
    assert sorted(row.user_id for row in ingest(spark, extra_users=extra).users.collect()) == ["u1", "u2"]


def test_a_pair_of_friends_keeps_its_greatest_weight(spark: SparkSession) -> None:
    pairs = [("u", "f", 0.5), ("u", "f", 2.0), ("f", "u", 1.0), ("f", "u", 1.0)]
    done = ingest(spark, items=[item()], relations=[{"user_id": u, "friend_id": f, "weight": w} for u, f, w in pairs])
    assert sorted(tuple(row) for row in done.relations.collect()) == [("f", "u", 1.0), ("u", "f", 2.0)]
    assert done.rejected_rows.isEmpty()


def test_rows_that_the_sources_rejected_stay_rejected(spark: SparkSession) -> None:
    bad = [{"table": "items", "reason": "null_id", "row": "{}"}]
    done = build_ingest(mapped(spark, BEHAVIOURS, []), mapped(spark, ITEMS, [], bad), None, None, config(), as_of=AS_OF)
    assert rows(done.rejected_rows) == bad
    assert done.users.columns == USERS.names
    assert done.relations.columns == RELATIONS.names


def allow(spark: SparkSession, *item_ids: str, rejected: Rows = ()) -> Mapped:
    return mapped(spark, ALLOW_LIST, [{"item_id": i} for i in item_ids], rejected)


def deny(spark: SparkSession, *pairs: tuple[str, str]) -> Mapped:
    return mapped(spark, DENY_LIST, [{"user_id": u, "item_id": i} for u, i in pairs])


def select(spark: SparkSession, *user_ids: str, rejected: Rows = ()) -> Mapped:
    return mapped(spark, SELECTED_USERS, [{"user_id": u} for u in user_ids], rejected)


def values(df: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in df.collect())


def test_lists_keep_each_row_once(spark: SparkSession) -> None:
    done = ingest(
        spark,
        items=catalogue(2),
        allow_list=allow(spark, "i2", "i1", "i2"),
        deny_list=deny(spark, ("u1", "i1"), ("u1", "i1"), ("u2", "i1"), ("u1", "i2")),
        selected_users=select(spark, "u2", "u1", "u2"),
    )
    assert values(done.allow_list) == [("i1",), ("i2",)]
    assert values(done.deny_list) == [("u1", "i1"), ("u1", "i2"), ("u2", "i1")]
    assert values(done.selected_users) == [("u1",), ("u2",)]
    assert done.rejected_rows.isEmpty()


def test_list_rows_on_unknown_items_are_rejected(spark: SparkSession) -> None:
    lists = {
        "allow_list": allow(spark, "i1", "i9", "i9"),
        "deny_list": deny(spark, ("u1", "i1"), ("u1", "i8"), ("u2", "i8")),
    }
    done = ingest(spark, items=catalogue(1), **lists)
    assert values(done.allow_list) == [("i1",)]
    assert values(done.deny_list) == [("u1", "i1")]
    rejected = [(r["table"], r["reason"], json.loads(r["row"])) for r in rows(done.rejected_rows)]
    assert rejected == [
        ("allow_list", "unknown_item", {"item_id": "i9"}),
        ("deny_list", "unknown_item", {"user_id": "u1", "item_id": "i8"}),
        ("deny_list", "unknown_item", {"user_id": "u2", "item_id": "i8"}),
    ]


def test_an_item_that_is_not_available_may_still_be_named(spark: SparkSession) -> None:
    done = ingest(
        spark, items=[item("i1", available=False)], allow_list=allow(spark, "i1"), deny_list=deny(spark, ("u", "i1"))
    )
    assert (values(done.allow_list), values(done.deny_list)) == ([("i1",)], [("u", "i1")])
    assert done.rejected_rows.isEmpty()


def test_a_selected_user_who_is_unknown_becomes_a_user(spark: SparkSession) -> None:
    extra = spark.createDataFrame([("u3",), ("u4",)], "user_id string")
    done = ingest(
        spark,
        users=[{"user_id": "u1", "interest_tags": ["jazz"]}, {"user_id": "u2", "interest_tags": ["folk"]}],
        extra_users=extra,
        selected_users=select(spark, "u1", "u3", "u5"),
    )
    assert [(row.user_id, row.interest_tags) for row in done.users.orderBy("user_id").collect()] == [
        ("u1", ["jazz"]),
        ("u2", ["folk"]),
        ("u3", None),
        ("u4", None),
        ("u5", None),
    ]
    assert values(done.selected_users) == [("u1",), ("u3",), ("u5",)]


def test_a_denied_user_who_is_unknown_does_not_become_one(spark: SparkSession) -> None:
    done = ingest(spark, items=catalogue(1), deny_list=deny(spark, ("stranger", "i1")))
    assert values(done.deny_list) == [("stranger", "i1")]
    assert done.users.isEmpty()


def test_lists_that_are_not_given_are_empty_tables(spark: SparkSession) -> None:
    done = ingest(spark, [interaction()], catalogue())
    for table in (ALLOW_LIST, DENY_LIST, SELECTED_USERS):
        assert getattr(done, table.name).schema == table.schema
        assert getattr(done, table.name).isEmpty()
    check(done)


def check(
    done: Ingested, earliest_days_ago: float | None = 1.0, cfg: Config | None = None, given: Iterable[str] = ()
) -> None:
    earliest = None if earliest_days_ago is None else AS_OF - timedelta(days=earliest_days_ago)
    validate_ingested(done, cfg or config(), as_of=AS_OF, earliest_ts=earliest, given=list(given))


def catalogue(n: int = 3) -> list[dict[str, Any]]:
    return [item(f"i{k}") for k in range(1, n + 1)]


def test_sound_input_passes(spark: SparkSession) -> None:
    check(ingest(spark, [interaction()], catalogue()))


def test_no_items_is_an_error_that_says_why_rows_were_lost(spark: SparkSession) -> None:
    bad = [{"table": "items", "reason": "null_id", "row": "{}"}] * 2
    done = build_ingest(mapped(spark, BEHAVIOURS, []), mapped(spark, ITEMS, [], bad), None, None, config(), as_of=AS_OF)
    with pytest.raises(DataError, match="There are no items") as caught:
        check(done)
    assert caught.value.found == "no usable row; rejected: null_id 2"


def test_no_behaviours_at_all_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no behaviours at all") as caught:
        check(ingest(spark, items=catalogue()), earliest_days_ago=None)
    assert caught.value.where == "sources.behaviours"


def test_no_behaviour_before_as_of_names_the_earliest(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no behaviours before as_of") as caught:
        check(ingest(spark, [interaction(days_ago=-2)], catalogue()), earliest_days_ago=-2)
    assert "earliest behaviour 2026-01-03 00:00:00" in str(caught.value.found)


def test_behaviours_on_no_known_item_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="on an item of the catalogue") as caught:
        check(ingest(spark, [interaction(item="I1")], catalogue()))
    assert "unknown_item 1" in str(caught.value.found)


def test_a_type_without_a_weight_is_listed_with_its_count(spark: SparkSession) -> None:
    behaviours = [interaction(f"u{k}", behaviour="purchse") for k in range(3)] + [interaction(behaviour="zap")]
    done = ingest(spark, behaviours, catalogue())
    with pytest.raises(DataError, match="without a weight") as caught:
        check(done)
    assert caught.value.found == "purchse (3 rows), zap (1 rows)"
    assert "did you mean `purchase` for `purchse`?" in str(caught.value.action)
    check(done, cfg=config(behaviours={"default_weight": 0.5}))


def test_top_n_larger_than_what_may_be_recommended_is_an_error(spark: SparkSession) -> None:
    hidden = [*catalogue(2), item("i3", available=False)]
    with pytest.raises(DataError, match=r"run\.top_n is larger") as caught:
        check(ingest(spark, [interaction()], hidden))
    assert caught.value.found == "top_n = 3, and 2 items that may be recommended (1 more are not available)"


def test_sound_lists_pass(spark: SparkSession) -> None:
    done = ingest(
        spark,
        [interaction()],
        catalogue(),
        allow_list=allow(spark, "i1", "i2", "i3"),
        deny_list=deny(spark, ("u1", "i9")),
        selected_users=select(spark, "u1"),
    )
    check(done, given=SERVING)
    assert done.deny_list.isEmpty()


def test_an_allow_list_without_a_usable_row_is_an_error(spark: SparkSession) -> None:
    bad = [{"table": "allow_list", "reason": "null_id", "row": "{}"}] * 2
    done = ingest(spark, [interaction()], catalogue(), allow_list=allow(spark, "i9", rejected=bad))
    with pytest.raises(DataError, match="names no item of the catalogue") as caught:
        check(done, given=["allow_list"])
    error = caught.value
    assert (error.where, error.found) == ("sources.allow_list", "no usable row; rejected: null_id 2, unknown_item 1")
    assert "item_id" in str(error.expected)
    assert "remove sources.allow_list" in str(error.action)


def test_a_selection_without_a_usable_row_is_an_error(spark: SparkSession) -> None:
    bad = [{"table": "selected_users", "reason": "empty_id", "row": "{}"}]
    done = ingest(spark, [interaction()], catalogue(), selected_users=select(spark, rejected=bad))
    with pytest.raises(DataError, match="No user is selected") as caught:
        check(done, given=["selected_users"])
    error = caught.value
    assert (error.where, error.found) == ("sources.selected_users", "no usable row; rejected: empty_id 1")
    assert error.expected == "at least one user"
    assert "remove sources.selected_users" in str(error.action)


def test_top_n_larger_than_what_the_allow_list_leaves_is_an_error(spark: SparkSession) -> None:
    items = [*catalogue(4), item("i5", available=False)]
    done = ingest(spark, [interaction()], items, allow_list=allow(spark, "i1", "i4", "i5", "i9"))
    with pytest.raises(DataError, match=r"run\.top_n is larger than the allow list") as caught:
        check(done, given=["allow_list"])
    error = caught.value
    assert error.where == "run.top_n"
    assert error.found == (
        "top_n = 3, and 2 items of sources.allow_list that may be recommended (1 more are not available)"
    )
    assert error.expected == "top_n of at most 2"
    check(done, cfg=config(run={"top_n": 2}, evaluate={"k": [2]}), given=["allow_list"])
