"""Input on which the job cannot be run is refused in words; sound input passes."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from recsys_spark.contract import BEHAVIOURS, DENY_LIST, ITEMS
from recsys_spark.errors import DataError
from recsys_spark.ingest.build import build_ingest
from tests.builders import AS_OF, config, interaction, item
from tests.ingest.ingest_inputs import allow, catalogue, check, deny, ingest, mapped, select


def test_sound_input_passes(spark: SparkSession) -> None:
    check(ingest(spark, [interaction()], catalogue()))


def test_no_items_is_an_error_that_says_why_rows_were_lost(spark: SparkSession) -> None:
    bad = [{"table": "items", "reason": "null_id", "row": "{}"}] * 2
    done = build_ingest(
        {"behaviours": mapped(spark, BEHAVIOURS, []), "items": mapped(spark, ITEMS, [], bad)}, as_of=AS_OF
    )
    with pytest.raises(DataError, match="There are no items") as caught:
        check(done)
    assert caught.value.found == "no usable row; rejected: null_id 2"


def test_no_behaviours_at_all_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no behaviours at all") as caught:
        check(ingest(spark, items=catalogue()), behaviours=[])
    assert caught.value.where == "sources.behaviours"


@pytest.mark.parametrize(
    ("row", "reasons", "said", "unsaid"),
    [
        ('{"t":"1748736000"}', ["bad_ts"], "timestamp_seconds(", "to_timestamp("),
        ('{"t":1748736000123.0}', ["bad_ts"], "timestamp_millis(", "to_timestamp("),
        ('{"t":"31/12/2024 10:00"}', ["bad_ts"], "31/12/2024 10:00", "timestamp_seconds("),
        ('{"t":"1748736000"}', ["bad_ts", "null_id"], "The reasons above", "timestamp"),
        ("{", ["bad_ts"], "to_timestamp(", "timestamp_seconds("),
    ],
)
def test_a_hint_about_times_is_given_for_times_alone(
    spark: SparkSession, row: str, reasons: list[str], said: str, unsaid: str
) -> None:
    bad = [{"table": "behaviours", "reason": reason, "row": row} for reason in reasons]
    items = mapped(spark, ITEMS, catalogue())
    done = build_ingest({"behaviours": mapped(spark, BEHAVIOURS, [], bad), "items": items}, as_of=AS_OF)
    with pytest.raises(DataError, match="no behaviours at all") as caught:
        check(done, behaviours=[])
    assert said in str(caught.value.action)
    assert unsaid not in str(caught.value.action)


def test_no_behaviour_before_as_of_names_the_earliest(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no behaviours before as_of") as caught:
        check(ingest(spark, [interaction(days_ago=-2)], catalogue()), behaviours=[interaction(days_ago=-2)])
    assert "earliest behaviour 2026-01-03 00:00:00" in str(caught.value.found)


def test_behaviours_on_no_known_item_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="on an item of the catalogue") as caught:
        check(ingest(spark, [interaction(item="I1")], catalogue()))
    assert "unknown_item 1" in str(caught.value.found)


def test_a_type_without_a_weight_is_listed_with_its_count(spark: SparkSession) -> None:
    behaviours = [interaction(f"u{k}", behaviour="purchse") for k in range(3)] + [interaction(behaviour="zap")]
    done = ingest(spark, behaviours, catalogue())
    with pytest.raises(DataError, match="types have no weight") as caught:
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
    check(done)
    assert done[DENY_LIST].isEmpty()


def test_an_allow_list_without_a_usable_row_is_an_error(spark: SparkSession) -> None:
    bad = [{"table": "allow_list", "reason": "null_id", "row": "{}"}] * 2
    done = ingest(spark, [interaction()], catalogue(), allow_list=allow(spark, "i9", rejected=bad))
    with pytest.raises(DataError, match="names no item of the catalogue") as caught:
        check(done)
    error = caught.value
    assert (error.where, error.found) == ("sources.allow_list", "no usable row; rejected: null_id 2, unknown_item 1")
    assert "item_id" in str(error.expected)
    assert "remove sources.allow_list" in str(error.action)


def test_a_selection_without_a_usable_row_is_an_error(spark: SparkSession) -> None:
    bad = [{"table": "selected_users", "reason": "empty_id", "row": "{}"}]
    done = ingest(spark, [interaction()], catalogue(), selected_users=select(spark, rejected=bad))
    with pytest.raises(DataError, match="No user is selected") as caught:
        check(done)
    error = caught.value
    assert (error.where, error.found) == ("sources.selected_users", "no usable row; rejected: empty_id 1")
    assert error.expected == "at least one user"
    assert "remove sources.selected_users" in str(error.action)


def test_top_n_larger_than_what_the_allow_list_leaves_is_an_error(spark: SparkSession) -> None:
    items = [*catalogue(4), item("i5", available=False)]
    done = ingest(spark, [interaction()], items, allow_list=allow(spark, "i1", "i4", "i5", "i9"))
    with pytest.raises(DataError, match=r"run\.top_n is larger than the allow list") as caught:
        check(done)
    error = caught.value
    assert error.where == "run.top_n"
    assert error.found == (
        "top_n = 3, and 2 items of sources.allow_list that may be recommended (1 more are not available)"
    )
    assert error.expected == "top_n of at most 2"
    check(done, cfg=config(run={"top_n": 2}, evaluate={"k": [2]}))
