"""Text as the encoder gets it: cleaned of markup and invisible characters, composed by a template.

Everything is a pure function of its arguments: equal fields give equal text, so the embedding cache hits.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from html.entities import html5
from string import Formatter
from typing import Literal

MAX_TAG_CHARS = 200
MAX_PASSES = 8
RAW_FACTOR = 16  # raw characters looked at per character kept: bounds the time that one huge field can take

# Only names of HTML: a title such as `<Untitled>` or `List<String>` is no markup.
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
_SEPARATOR = re.compile(r"(\. |; | \| |\n|。|；)")
_SENTENCE_END = tuple(".!?…。！？")


def clean_text(text: str | None, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Return readable text: entities resolved, tags stripped, control and zero-width characters out, spaces single.

    Idempotent; one line, and never a character that a terminal or a log would act on. None gives "".

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
    """Return the tags cleaned (NFKC, at most MAX_TAG_CHARS), distinct whatever their case, sorted; empty ones out.

    >>> clean_tags(["rock", "Ｒock", None, " ", "摇滚"])
    ['Rock', '摇滚']
    """
    chosen: dict[str, str] = {}
    cleaned = (cut(clean_text(cut(t, RAW_FACTOR * MAX_TAG_CHARS), "NFKC"), MAX_TAG_CHARS) for t in _present(tags))
    for tag in sorted(cleaned):
        if tag:
            chosen.setdefault(tag.casefold(), tag)
    return sorted(chosen.values())


def item_text(template: str, fields: Mapping[str, str], max_chars: int) -> str | None:
    """Fill the template with cleaned fields; a part whose fields are all empty goes, and the separator before it.

    Parts end at `. `, `; `, ` | `, a line end, `。` or `；`. None where every field is empty.

    >>> item_text("{title}. {category}. {tags}", {"title": "Dune", "category": "", "tags": "desert, spice"}, 100)
    'Dune. desert, spice'
    """
    pieces = _SEPARATOR.split(template)
    text, separator, anything = "", "", False
    for part, following in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        names = [name for _, name, _, _ in Formatter().parse(part) if name is not None]
        # A part without fields is the template's own wording.
        if not names or any(fields[name] for name in names):
            if text.endswith(_SENTENCE_END) and separator[:1] in _SENTENCE_END:
                separator = separator[1:]
            text += (separator if text else "") + part.format_map(fields)
            anything = anything or bool(names)
        separator = following
    return (cut(" ".join(text.split()), max_chars) or None) if anything else None


def item_fields(
    *,
    title: str | None,
    description: str | None,
    category: str | None,
    tags: Iterable[str],
    attributes: Iterable[str | None] | None,
    max_chars: int,
) -> dict[str, str]:
    """Return the template's fields, cleaned and at most ``max_chars`` long; "" where there is nothing.

    ``tags`` are clean already; ``attributes`` are strings `key value`.
    """

    def shortened(text: str | None, form: Literal["NFC", "NFKC"] = "NFC") -> str:
        return cut(clean_text(cut(text, RAW_FACTOR * max_chars), form), max_chars)

    rendered = [shortened(attribute) for attribute in _present(attributes)]
    return {
        "title": shortened(title),
        "description": shortened(description),
        # A category is compared with tags, so it takes their form.
        "category": shortened(category, "NFKC"),
        "tags": ", ".join(tags),
        "attributes": ", ".join(a for a in rendered if a),
    }


def cut(text: str | None, max_chars: int) -> str:
    """Return at most ``max_chars`` characters, without a space where it was cut; None gives ""."""
    if text is None or len(text) <= max_chars:
        return text or ""
    return text[:max_chars].rstrip()


def _present(strings: Iterable[str | None] | None) -> list[str]:
    # Arrow hands arrays over as NumPy arrays, whose truth value is an error.
    return [] if strings is None else [s for s in strings if s is not None]


def _clean_once(text: str, form: Literal["NFC", "NFKC"]) -> str:
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
