"""How the text of a CSV file is split into fields: by its separator, quote and escape. Knows nothing of Spark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

DOUBLED = '"'
BACKSLASH = "\\"


class Scan(NamedTuple):
    """What is known after a line was scanned."""

    n_fields: int
    """Number of fields that end in the line."""
    is_open: bool
    """Whether the line ends inside quotes."""
    is_strict: bool
    """Whether every closing quote is followed by a separator or the line's end."""


@dataclass(frozen=True)
class Dialect:
    """The form of the rows of a file."""

    sep: str = ","
    quote: str = '"'
    """Empty where fields are never quoted."""
    escape: str = DOUBLED
    """What stands before a quote inside a quoted field; the quote itself where quotes are doubled; may be empty."""
    skips_spaces: bool = False
    """Whether spaces before a field are left out, so that a quote may follow them."""

    def scan(self, line: str, *, inside: bool = False) -> Scan:
        """Return the number of fields in a line, and how it ends. ``inside``: the line begins inside quotes.

        >>> Dialect().scan('1,"red, blue",x')
        Scan(n_fields=3, is_open=False, is_strict=True)
        >>> Dialect().scan('1,"red')
        Scan(n_fields=1, is_open=True, is_strict=True)
        >>> Dialect().scan('blue",x', inside=True)
        Scan(n_fields=2, is_open=False, is_strict=True)
        """
        if not inside and (not self.quote or self.quote not in line):
            return Scan(line.count(self.sep) + 1, is_open=False, is_strict=True)
        n_fields, at, strict = 0, 0, True
        while True:
            field = self._match("rest" if inside else "field", line, at)
            if field is None and self._match("open_rest" if inside else "open_field", line, at):
                return Scan(n_fields, is_open=True, is_strict=strict)
            if field is None:
                # Text between a closing quote and the separator. Spark's reader takes it for a part of the field.
                field, strict = self._match("loose_rest" if inside else "loose_field", line, at), False
            if field is None:  # cannot happen: a quoted field is open, or it is closed with or without text behind it
                return Scan(n_fields, is_open=False, is_strict=False)
            n_fields, at, inside = n_fields + 1, field.end(), False
            if not field["sep"]:
                return Scan(n_fields, is_open=False, is_strict=strict)

    def values(self, record: str) -> list[str]:
        """Return the values of a record's fields without their quotes.

        >>> Dialect().values('user_id,"a ""b"", c",x')
        ['user_id', 'a "b", c', 'x']
        """
        found: list[str] = []
        at = 0
        while True:
            field = self._match("field", record, at) or self._match("loose_field", record, at)
            if field is None:
                return [*found, record[at:].removeprefix(self.quote)]
            text = field["text"].lstrip() if self.skips_spaces else field["text"]
            is_quoted = bool(self.quote) and text.startswith(self.quote) and text.endswith(self.quote) and len(text) > 1
            found.append(self._unquoted(text) if is_quoted else text)
            if not field["sep"]:
                return found
            at = field.end()

    def _unquoted(self, text: str) -> str:
        inner = text[1:-1]
        return inner if not self.escape else re.sub(re.escape(self.escape) + "(.)", r"\1", inner, flags=re.DOTALL)

    def _match(self, kind: str, line: str, at: int) -> re.Match[str] | None:
        return self._patterns[kind].match(line, at)

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        sep, quote, escape = map(re.escape, (self.sep, self.quote, self.escape))
        spaces = "".join(sorted({" ", "\t"} - set(self.sep)))
        around = f"[{spaces}]*+" if spaces else ""
        lead = around if self.skips_spaces else ""
        end = rf"(?P<sep>{sep}|\Z)"
        to_sep = f"[^{sep}]*+" if len(self.sep) == 1 else rf"(?:(?!{sep}).)*+"
        if not self.quote:
            return {kind: re.compile(f"(?P<text>{to_sep}){end}", re.DOTALL) for kind in ("field", "loose_field")}
        if self.escape == self.quote:
            inner = rf"(?:[^{quote}]++|{quote}{quote})*+"
        elif self.escape:
            inner = rf"(?:[^{quote}{escape}]++|{escape}(?:.|\Z))*+"
        else:
            inner = f"[^{quote}]*+"
        quoted, rest = f"{lead}{quote}{inner}{quote}", f"{inner}{quote}"
        patterns = {
            "field": rf"(?P<text>{quoted}|(?!{lead}{quote}){to_sep}){around}{end}",
            "rest": rf"(?P<text>{rest}){around}{end}",
            "open_field": rf"{lead}{quote}{inner}\Z",
            "open_rest": rf"{inner}\Z",
            "loose_field": rf"(?P<text>{quoted}{to_sep}){end}",
            "loose_rest": rf"(?P<text>{rest}{to_sep}){end}",
        }
        return {kind: re.compile(pattern, re.DOTALL) for kind, pattern in patterns.items()}
