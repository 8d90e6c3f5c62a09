"""Every path that the pages for contributors name exists, and the tree names every folder of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.markdown import ROOT

PAGES = ("CONTRIBUTING.md", "docs/architecture.md")
PATH = re.compile(
    r"`((?:recsys_spark|benchmarks|tests|docs|conf|deploy|jobs)/[\w./-]*|[\w-]+\.(?:py|sh|txt|toml|yml|md))`"
)


def missing(text: str) -> list[str]:
    """Paths of a page that do not exist. A bare file name may lie in the root or in the package's root."""
    homes = (ROOT, ROOT / "recsys_spark")
    return [p for p in PATH.findall(text) if not any((home / p).exists() for home in homes)]


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    assert missing((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_wrong_path_is_noticed() -> None:
    text = "`recsys_spark/gone/` `tests/gone.py` `gone.py` `recsys_spark/steps/` `tables.py` `setup.py`"
    assert missing(text) == ["recsys_spark/gone/", "tests/gone.py", "gone.py"]


def test_the_tree_names_every_folder_of_the_package() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    folders = [f for f in (ROOT / "recsys_spark").iterdir() if f.is_dir() and any(Path(f).glob("*.py"))]
    assert [f.name for f in folders if f"`recsys_spark/{f.name}/`" not in page] == []
