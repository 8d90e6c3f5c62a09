"""The pages keep the rules of English in CONTRIBUTING: short paragraphs and sentences, the subject by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.markdown import CODE, ROOT, pages, prose

MAX_WORDS = 80
MAX_SENTENCE = 25
MAX_NAME = 12
"""Words of a thing in a list of names."""
HARD_TO_READ = re.compile(r"\b(that of|so many|of whom|the own|(?<!here )is no [a-z]+|beside)\b")
"""`beside` is for places; a page means `next to` or `besides`."""
GENERATED = {"docs/configuration.md", "docs/tables.md"}
PAGES = [
    page
    for page in pages()
    if page.relative_to(ROOT).parts[0] != "benchmarks" and page.relative_to(ROOT).as_posix() not in GENERATED
]
HISTORY = [page for page in PAGES if page.name == "CHANGELOG.md" or page.parent.name == "decisions"]
"""Pages that keep the words of their day: only their paragraphs and phrases are held to the rules."""


def paragraphs(text: str) -> list[str]:
    """Paragraphs, items of lists and headings of a page; tables and addresses of links are left out."""
    plain = re.sub(r"\]\([^)\n]*\)", "]", prose(text))
    plain = re.sub(r"^ *\|.*$", "", plain, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", plain) if part.strip()]


def too_long(text: str) -> list[str]:
    """The beginnings of paragraphs with more words than a reader keeps in mind."""
    return [part[:60] for part in paragraphs(text) if len(part.split()) > MAX_WORDS]


def words(text: str) -> int:
    """Number of words; a piece of code is one word, a mark without letters and digits is none."""
    return sum(re.search(r"\w", word) is not None for word in CODE.sub("code", text).split())


def names_things(sentence: str) -> bool:
    """Whether an item of a list names at least four things after a colon, each in a few words."""
    lead, colon, rest = sentence.partition(":")
    things = rest.split(", ")
    listed = lead.startswith("- ") and bool(colon) and len(things) >= 4
    return listed and all(words(thing) <= MAX_NAME for thing in things)


def long_sentences(text: str) -> list[str]:
    """The beginnings of sentences that are too long to be read once; lists of names are left out."""
    sentences = [part for text in paragraphs(text) for part in re.split(r"(?<=[.!?])[)*_\"]*\s+", text)]
    return [part[:60] for part in sentences if words(part) > MAX_SENTENCE and not names_things(part)]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in HISTORY], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_sentences_are_short(page: Path) -> None:
    assert long_sentences(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_paragraphs_are_short(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / name for name in sorted(GENERATED))], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_phrases_are_easy(page: Path) -> None:
    assert HARD_TO_READ.findall(" ".join(paragraphs(page.read_text(encoding="utf-8")))) == []


def test_a_long_paragraph_is_noticed() -> None:
    item = "- " + "word " * 41
    assert too_long("word " * 81)
    assert not too_long(f"{item}\n{item}\n\n```\n{'word ' * 81}\n```\n")


def test_a_long_sentence_is_noticed() -> None:
    half = "word " * 13
    assert long_sentences(f"{half}and {half}.")
    assert long_sentences(f"- Name: {half}, {half}, one, two.")
    assert not long_sentences(f"**{half}.** {half}.")
    assert not long_sentences(f"{half}. `{half}` and [link](a.md).")
    assert not long_sentences("- Names: " + ", ".join(["the name of one thing"] * 9))


@pytest.mark.parametrize("phrase", ["the price is that of an item", "it is no date", "users of whom nothing is known"])
def test_a_hard_phrase_is_noticed(phrase: str) -> None:
    assert HARD_TO_READ.search(phrase)
