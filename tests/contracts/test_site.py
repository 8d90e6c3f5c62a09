"""The navigation of the site names every page, and every page that it names exists."""

from __future__ import annotations

import re

from tests.markdown import ROOT, blocks, pages, pictures

CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
NOT_SHOWN = {"docs/decisions/0000-template.md"}


def navigation() -> list[str]:
    """Pages of the navigation in order, as paths of the repository."""
    return re.findall(r"^ +- (?:.*: )?(\S+\.md)$", CONFIGURATION.partition("\nnav:\n")[2], re.MULTILINE)


def copied() -> list[str]:
    """Paths that `make site` copies."""
    line = re.search(r"^PAGES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert line
    return line.group(1).split()


def test_every_page_is_in_the_navigation() -> None:
    shown = {page.relative_to(ROOT).as_posix() for page in pages()} - NOT_SHOWN
    assert sorted(navigation()) == sorted(shown)


def test_every_page_of_the_navigation_is_copied() -> None:
    assert [p for p in navigation() if not any(p == own or p.startswith(f"{own}/") for own in copied())] == []


def test_the_sections_are_those_that_a_reader_looks_for() -> None:
    sections = re.findall(r"^  - ([^:\n]+):$", CONFIGURATION.partition("\nnav:\n")[2], re.MULTILINE)
    assert sections == ["Start", "How-tos", "How it works", "Reference", "Measured", "Decisions"]


def test_pages_fetch_no_scripts_or_fonts_from_other_hosts() -> None:
    assert re.search(r"^  font: false$", CONFIGURATION, re.MULTILINE)
    # The theme fetches mermaid's script from another host.
    drawn = [page.name for page in pages() if "mermaid" in dict(blocks(page.read_text("utf-8")))]
    assert drawn == []
    shown = [link for page in pages() for link in pictures(page.read_text("utf-8"))]
    assert shown
    assert [link for link in shown if link.startswith("http")] == []


def test_a_broken_link_fails_the_build() -> None:
    assert re.search(r"^strict: true$", CONFIGURATION, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "zensical build --strict" in makefile
    # CI runs `make test`, which begins with `make check`.
    assert re.search(r"^test: check\b", makefile, re.MULTILINE)
    assert re.search(r"^check:.* site\b", makefile, re.MULTILINE)


def test_the_tool_of_the_site_is_pinned() -> None:
    least = re.search(r'"docs": \["zensical>=([\d.]+),', (ROOT / "setup.py").read_text(encoding="utf-8"))
    pinned = re.search(r"^zensical==([\d.]+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert least
    assert pinned
    assert pinned.group(1) >= least.group(1)
