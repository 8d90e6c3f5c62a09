"""Pages written from the code say what the code says today."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_spark.config import Config
from recsys_spark.errors import RecsysError
from recsys_spark.tables import CONTRACT, STORED

DOCS = Path(__file__).parents[2] / "docs"


def pages() -> dict[str, Callable[[], str]]:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Callable[[], str]] = module.PAGES
    return found


@pytest.mark.parametrize("name", ["tables.md", "configuration.md"])
def test_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name](), "run `make docs`"


def test_every_column_and_every_section_is_on_its_page() -> None:
    tables, configuration = pages()["tables.md"](), pages()["configuration.md"]()
    for table in [*CONTRACT.values(), *STORED]:
        assert f"### {table.name}\n" in tables
        assert all(f"| `{column.name}` |" in tables for column in table.columns)
    assert all(f"## {section}\n" in configuration for section in Config.model_fields)


def test_runbook_has_every_exit_status() -> None:
    runbook = (DOCS / "runbook.md").read_text(encoding="utf-8")
    for error in RecsysError.__subclasses__():
        assert f"| {error.exit_code} | `{error.__name__}` |" in runbook
