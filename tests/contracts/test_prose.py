"""The pages keep the rules of English in CONTRIBUTING: short paragraphs, the subject by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.markdown import ROOT, pages, prose

MAX_WORDS = 80
HARD_TO_READ = re.compile(r"\b(that of|so many|of whom|the own|(?<!here )is no [a-z]+|beside)\b")
"""`beside` is for places; a page means `next to` or `besides`."""
GENERATED = {"docs/configuration.md", "docs/tables.md"}
PAGES = [
    page
    for page in pages()
    if page.relative_to(ROOT).parts[0] != "benchmarks" and page.relative_to(ROOT).as_posix() not in GENERATED
]


def paragraphs(text: str) -> list[str]:
    """Paragraphs, items of lists and headings of a page; tables and addresses of links are left out."""
    plain = re.sub(r"\]\([^)\n]*\)", "]", prose(text))
    plain = re.sub(r"^ *\|.*$", "", plain, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", plain) if part.strip()]


def too_long(text: str) -> list[str]:
    """The beginnings of paragraphs with more words than a reader keeps in mind."""
    return [part[:60] for part in paragraphs(text) if len(part.split()) > MAX_WORDS]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_paragraphs_are_short(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_phrases_are_easy(page: Path) -> None:
    assert HARD_TO_READ.findall(" ".join(paragraphs(page.read_text(encoding="utf-8")))) == []


def test_a_long_paragraph_is_noticed() -> None:
    item = "- " + "word " * 41
    assert too_long("word " * 81)
    assert not too_long(f"{item}\n{item}\n\n```\n{'word ' * 81}\n```\n")


@pytest.mark.parametrize("phrase", ["the price is that of an item", "it is no date", "users of whom nothing is known"])
def test_a_hard_phrase_is_noticed(phrase: str) -> None:
    assert HARD_TO_READ.search(phrase)
