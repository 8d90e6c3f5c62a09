"""An item's text, composed of its cleaned fields by the template of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import Formatter

from recsys_spark.profiles.kernels.cleaning import RAW_FACTOR, Form, clean_text, cut, present

_SEPARATOR = re.compile(r"(\. |; | \| |\n|。|；)")
_SENTENCE_END = tuple(".!?…。！？")


def item_text(template: str, fields: Mapping[str, str], max_chars: int) -> str | None:
    """Return the template filled with cleaned fields. A part whose fields are all empty goes with the separator before
    it.

    Parts end at `. `, `; `, ` | `, a line end, `。` or `；`. Returns None where every field is empty.

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
    """Return the fields of a template, cleaned and at most ``max_chars`` characters long each; "" where there is
    nothing.

    ``tags``: cleaned tags. ``attributes``: strings `key value`.
    """

    def shortened(text: str | None, form: Form = "NFC") -> str:
        return cut(clean_text(cut(text, RAW_FACTOR * max_chars), form), max_chars)

    rendered = [shortened(attribute) for attribute in present(attributes)]
    return {
        "title": shortened(title),
        "description": shortened(description),
        # A category is compared with tags, so it takes their form.
        "category": shortened(category, "NFKC"),
        "tags": ", ".join(tags),
        "attributes": ", ".join(a for a in rendered if a),
    }
