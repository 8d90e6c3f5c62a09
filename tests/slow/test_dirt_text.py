"""Files of text, ids and joins: no table is read wrongly in silence, and no row stops a night."""

from __future__ import annotations

import pytest

from tests.slow.dirt.fault import Case
from tests.slow.dirt.night import Verdict
from tests.slow.dirt.suite import cases_of, verdicts

pytestmark = pytest.mark.slow
__all__ = ["verdicts"]
FAMILIES = (
    "Rows of CSV files",
    "CSV files and folders",
    "JSON",
    "Encodings",
    "Ids, duplicates, joins, groups, text files",
)
CASES = cases_of(FAMILIES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
def test_the_fault_causes_what_it_must(case: Case, verdicts: dict[int, Verdict]) -> None:
    assert verdicts[case.number].complaints == []
