"""docs/dirty-data.md says what the slow tests try."""

from __future__ import annotations

from tests.slow.dirt.fault import Rejected
from tests.slow.dirt.page import PAGE, page
from tests.slow.dirt.registry import FAMILIES, all_cases


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.slow.dirt.page`"


def test_each_fault_has_a_name_of_its_own() -> None:
    titles = [case.title for case in all_cases(every_spread=True)]
    assert [title for title in titles if titles.count(title) > 1] == []


def test_reasons_are_those_of_the_table() -> None:
    from recsys_spark.tables import REASONS

    outcomes = [fault.outcome for faults in FAMILIES.values() for fault in faults]
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)} <= REASONS.keys()


def test_each_family_is_tried() -> None:
    from tests.slow import test_dirt, test_dirt_text

    assert sorted([*test_dirt.FAMILIES, *test_dirt_text.FAMILIES]) == sorted(FAMILIES)
