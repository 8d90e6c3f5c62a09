"""Text cleaning: what it promises for any Unicode, and literal examples of what sources hold."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.profiles.kernels.cleaning import MAX_TAG_CHARS, clean_tags, clean_text

# Plain characters rarely spell markup, so pieces of it are drawn as well.
PIECES = st.one_of(
    st.characters(),
    st.sampled_from(["&", "amp;", "&amp;", "lt;", "&lt;", "&#38;", "&#x26;", "&#97;", "#97;", "mp;", "&#8203;"]),
    st.sampled_from(["<", ">", "<b>", "</b>", "b>", "<script>", "</script>", "<!--", "-->"]),
    st.sampled_from(["\u200b", "\x00", "\ud800", "＆", "＜", " ", "\u0301"]),
)
ANY_TEXT = st.lists(PIECES, max_size=30).map("".join)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (None, ""),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Tom &amp;amp;amp; Jerry", "Tom & Jerry"),
        ("L&#39;Or&eacute;al &quot;Red&quot;", 'L\'Oréal "Red"'),
        ("&lt;b&gt;bold&lt;/b&gt; text", "bold text"),
        ("<p class='x'>one</p><br/>two<!-- three --> <script>alert(1 < 2)</script>four", "one two four"),
        ("a\u200bb\ufeffc\x07d\u00a0 \t\r\n e", "abcd e"),
        ("e\u0301", "é"),
        ("half \ud800 pair", "half pair"),
        ("课程&nbsp;介绍　第一章", "课程 介绍 第一章"),
    ],
)
def test_dirt_is_cleaned(raw: str | None, clean: str) -> None:
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    "title",
    ["I <3 you", "a < b and c > d", "<Untitled>", "Java List<String>", "AT&copy", "R&B", "Q&A; more", "100% > 50%"],
)
def test_what_only_looks_like_markup_stays(title: str) -> None:
    assert clean_text(title) == title


@settings(deadline=None)
@given(ANY_TEXT, st.sampled_from(["NFC", "NFKC"]))
def test_cleaning_twice_changes_nothing(raw: str, form: str) -> None:
    once = clean_text(raw, form)  # type: ignore[arg-type]

    assert clean_text(once, form) == once  # type: ignore[arg-type]


@settings(deadline=None)
@given(ANY_TEXT)
def test_clean_text_is_one_printable_line_that_utf8_can_hold(raw: str) -> None:
    text = clean_text(raw)

    text.encode("utf-8")
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert text == " ".join(text.split())


def test_entities_nested_deeper_than_any_source_come_to_an_end() -> None:
    nested = "&"
    for _ in range(50):
        nested = nested.replace("&", "&&#97;mp;", 1)

    text = clean_text(nested)

    assert clean_text(text) == text


@pytest.mark.parametrize("hostile", ["<a " + "=" * 50_000, "<!--" * 20_000, "&amp;" * 20_000, "<script>" * 10_000])
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    started = time.process_time()
    clean_text(hostile)

    assert time.process_time() - started < 2


def test_tags_are_distinct_whatever_their_case_and_width() -> None:
    assert clean_tags(["rock", "Rock", "ＲＯＣＫ", None, "", " <b>jazz</b> ", "摇滚"]) == ["ROCK", "jazz", "摇滚"]


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), ANY_TEXT), max_size=6))
def test_tags_do_not_depend_on_the_order_of_the_source(tags: list[str | None]) -> None:
    cleaned = clean_tags(tags)

    assert clean_tags(tags[::-1]) == cleaned == clean_tags(cleaned)
    assert all(0 < len(tag) <= MAX_TAG_CHARS for tag in cleaned)
