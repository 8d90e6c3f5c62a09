"""Expressions, Parquet, ORC and folders: no table is read wrongly in silence, and no row stops a night."""

from __future__ import annotations

import pytest

from tests.slow.dirt.fault import Case
from tests.slow.dirt.night import Verdict
from tests.slow.dirt.suite import cases_of, verdicts

pytestmark = pytest.mark.slow
__all__ = ["verdicts"]
FAMILIES = (
    "Key expressions",
    "Expressions of times that raise",
    "Other expressions that raise",
    "Parquet and ORC",
    "Partition folders",
)
CASES = cases_of(FAMILIES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
def test_the_fault_causes_what_it_must(case: Case, verdicts: dict[int, Verdict]) -> None:
    assert verdicts[case.number].complaints == []
