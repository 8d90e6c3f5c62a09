"""Every link between pages leads to a file that exists, and every anchor to a heading."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.markdown import ROOT, broken_links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize(
    "link",
    ["gone.md", "other.md#gone", "#gone", "picture.svg", "folder/", "other.md#time-2"],
)
def test_a_broken_link_is_noticed(tmp_path: Path, link: str) -> None:
    (tmp_path / "other.md").write_text("# Time\n\n## Time\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n[there]({link}) and ![a picture]({link})\n", encoding="utf-8")
    assert list(broken_links(page)) == [link, link]


def test_a_right_link_is_not(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Time\n\n## Time\n", encoding="utf-8")
    page = tmp_path / "page.md"
    text = "# Page\n\n[a](other.md#time-1) [b](#page) [c](https://example.com/gone) `[d](gone.md)`\n"
    page.write_text(text + "```\n[e](gone.md)\n```\n", encoding="utf-8")
    assert list(broken_links(page)) == []


def test_pages_of_all_folders_are_read() -> None:
    found = {page.relative_to(ROOT).as_posix() for page in pages()}
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "benchmarks/results/quality.md"} <= found
