"""Pages that list things have one row or one line for each of them."""

from __future__ import annotations

import re

import pytest

from recsys_spark.steps.names import STAGE_NAMES
from tests.markdown import ROOT

DATA_FLOW = (ROOT / "docs" / "data-flow.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def wrapped(text: str) -> list[str]:
    """Second lines of the entries of a changelog."""
    return re.findall(r"(?<=\n)- .*\n(?!- |#|\n)(.+)", text)


def test_the_data_flow_has_a_row_for_each_stage_in_order() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", DATA_FLOW, flags=re.MULTILINE)) == STAGE_NAMES


def test_each_entry_of_the_changelog_is_one_line() -> None:
    assert wrapped(CHANGELOG) == []


@pytest.mark.parametrize("second", ["  more", "more"])
def test_a_wrapped_entry_is_noticed(second: str) -> None:
    assert wrapped(f"\n- One.\n- Two\n{second}\n\n## Next\n") == [second]
