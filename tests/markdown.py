"""Markdown pages as data: headings, anchors, links, code blocks and paths, as a code host reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "conf", "deploy", "docs", "jobs", "recsys_spark", "tests")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)  # indented in a list of steps
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
HEADING = re.compile(r"^(#{1,6}) +(.+?)\s*$", re.MULTILINE)


class Heading(NamedTuple):
    """A heading of a page."""

    level: int
    text: str


def pages() -> list[Path]:
    """Every Markdown file of the repository, without builds and environments."""
    return sorted([*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))])


def prose(text: str) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", text)


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and body of every code block, in order."""
    return FENCE.findall(text)


def headings(text: str) -> list[Heading]:
    """All headings in order."""
    return [Heading(len(marks), title) for marks, title in HEADING.findall(prose(text))]


def links(text: str) -> list[str]:
    """Targets of all links and pictures in order; what stands in code is not a link."""
    return [target for _, _, target in LINK.findall(CODE.sub("``", prose(text)))]


def pictures(text: str) -> list[str]:
    """Addresses of all pictures in order."""
    return [target for mark, _, target in LINK.findall(CODE.sub("``", prose(text))) if mark]


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings as code hosts make them: the second `Time` is `time-1`.

    >>> sorted(anchors("# What the exit status says\\n## `[mlflow]`, *once*\\n## [Time](a.md)\\n## Time\\n"))
    ['mlflow-once', 'time', 'time-1', 'what-the-exit-status-says']
    """
    found: set[str] = set()
    for heading in headings(text):
        name = LINK.sub(r"\2", heading.text).lower()
        name = re.sub(r"[^\w\- ]", "", name).strip().replace(" ", "-")
        number = 0
        while (candidate := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(candidate)
    return found


def broken_links(page: Path) -> Iterator[str]:
    """Links of a page to files or anchors that do not exist; other hosts are not asked."""
    text = page.read_text(encoding="utf-8")
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link
