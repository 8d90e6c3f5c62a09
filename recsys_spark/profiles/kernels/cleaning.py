"""Text cleaned of markup, entities and invisible characters.

Every function depends on its arguments alone: equal fields give equal text, so a text is encoded once.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from html.entities import html5
from typing import Literal

Form = Literal["NFC", "NFKC"]

MAX_TAG_CHARS = 200
MAX_PASSES = 8
RAW_FACTOR = 16
"""Raw characters read per character kept: bounds the time that one huge field can take."""

# Only names of HTML: a title such as `<Untitled>` or `List<String>` is not markup.
_NAMES = (
    "a|abbr|acronym|address|article|aside|audio|b|big|blockquote|body|br|button|caption|center|cite|code|col|colgroup|"
    "dd|del|details|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|"
    "img|input|ins|kbd|label|legend|li|link|main|mark|meta|nav|object|ol|option|p|param|picture|pre|q|s|samp|script|"
    "section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|"
    "tr|tt|u|ul|var|video|wbr"
)
_MARKUP = re.compile(
    r"<!--(?:(?!<!--).)*?-->"
    r"|<(script|style)\b[^<>]*>(?:(?!<(?:script|style)\b).)*?</\1\s*>"
    rf"|<(?:{_NAMES})(?:[\s/][^<>]*)?>"
    r"|</[a-z][^<>]*>|<[a-z][\w:-]*\s*/>|<[a-z][\w:-]*\s[^<>=]*=[^<>]*>|<!doctype[^<>]*>",
    re.IGNORECASE | re.DOTALL,
)
# Without the semicolon `&copy` may be the start of `AT&copywriters`, so it stays.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ESCAPED_AMPERSAND = re.compile(r"&(?:amp;|#0{0,4}38;|#x0{0,4}26;)+", re.IGNORECASE)


def clean_text(text: str | None, form: Form = "NFC") -> str:
    """Return readable text: entities resolved, markup, control and zero-width characters removed, single spaces.

    The result is one line without a character that a terminal or a log would act on. Cleaning it again changes
    nothing. None gives "".

    >>> clean_text(" Tom &amp;amp; <b>Jerry</b>\\u200b ")
    'Tom & Jerry'
    """
    if not text:
        return ""
    for _ in range(MAX_PASSES):
        cleaned = _clean_once(text, form)
        if cleaned == text:
            return cleaned
        text = cleaned
    # Escaped deeper than any honest source does: without these two characters nothing is left to resolve.
    return _clean_once(unicodedata.normalize(form, text).replace("&", " ").replace("<", " "), form)


def clean_tags(tags: Iterable[str | None] | None) -> list[str]:
    """Return the cleaned tags (NFKC, at most MAX_TAG_CHARS characters), sorted. Case does not make two tags different.

    Empty tags are left out.

    >>> clean_tags(["rock", "Ｒock", None, " ", "摇滚"])
    ['Rock', '摇滚']
    """
    chosen: dict[str, str] = {}
    cleaned = (cut(clean_text(cut(t, RAW_FACTOR * MAX_TAG_CHARS), "NFKC"), MAX_TAG_CHARS) for t in present(tags))
    for tag in sorted(cleaned):
        if tag:
            chosen.setdefault(tag.casefold(), tag)
    return sorted(chosen.values())


def cut(text: str | None, max_chars: int) -> str:
    """Return at most ``max_chars`` characters, without spaces at the cut. None gives ""."""
    if text is None or len(text) <= max_chars:
        return text or ""
    return text[:max_chars].rstrip()


def present(strings: Iterable[str | None] | None) -> list[str]:
    """Return the strings that are not null."""
    # Arrow hands arrays over as NumPy arrays, whose truth value is an error.
    return [] if strings is None else [s for s in strings if s is not None]


def _clean_once(text: str, form: Form) -> str:
    if "&" in text:
        text = _ENTITY.sub(_resolve, _ESCAPED_AMPERSAND.sub("&amp;", text))
    if "<" in text:
        text = _MARKUP.sub(" ", text)
    if not text.isprintable():
        text = "".join(_visible(c) for c in text)
    return " ".join(unicodedata.normalize(form, text).split())


def _resolve(entity: re.Match[str]) -> str:
    name = entity[0][1:]
    return html.unescape(entity[0]) if name.startswith("#") else html5.get(name, entity[0])


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character
