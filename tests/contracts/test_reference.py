"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from recsys_spark.config.base import Section
from recsys_spark.config.sections import Config
from recsys_spark.config.sources import Join
from recsys_spark.contract import CONTRACT
from recsys_spark.reference import DOCS, configuration_markdown, pages, tables_markdown
from recsys_spark.tables import STORED


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_page_in_docs_is_current(name: str) -> None:
    on_disk = (DOCS / name).read_text(encoding="utf-8")

    assert on_disk == pages()[name], f"docs/{name} is out of date: run `python -m recsys_spark.reference`"


def test_every_key_is_explained() -> None:
    sections = [f.annotation for f in Config.model_fields.values()]
    nested = [s for s in [*sections, Join] if isinstance(s, type) and issubclass(s, Section)]

    for section in nested:
        for key, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{key} has no docstring"
            assert f"| `{key}` | " in configuration_markdown()


def test_types_bounds_and_defaults_are_written_out() -> None:
    page = configuration_markdown()

    assert "| `top_n` | int, at least 1, at most 1,000 | `20` |" in page
    assert '| `value_transform` | `"none"` or `"linear"` or `"log1p"` or `"sqrt"` | `"none"` |' in page
    assert "| `weights` | table of name = number, at least 0 | required |" in page
    assert "| `k` | list of int, above 0 | `[10, 20]` |" in page


def test_every_column_is_in_the_page_and_no_cell_breaks_its_row() -> None:
    page = tables_markdown()

    for table in [*(entry.table for entry in CONTRACT.values()), *STORED]:
        for column in table.columns:
            assert f"| `{column.name}` | `{column.type.simpleString()}` |" in page
    rows = [line for line in page.splitlines() + configuration_markdown().splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}
