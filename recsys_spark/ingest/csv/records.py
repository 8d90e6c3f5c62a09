"""Lines become records: a record goes on over following lines while it is inside quotes. Knows nothing of Spark.

A quote that nothing closes must not swallow the rows after it. So the lines that a quote leaves open are joined only
where the result is a well-formed row with the right number of fields. Otherwise the first line alone is rejected, and
reading goes on with the line after it.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from recsys_spark.ingest.csv.dialect import Dialect

MAX_LINES = 1_000
"""Lines of one record."""
MAX_CHARS = 2**20
"""Characters of one record that has more than one line."""
_N_SHAPES = 100
"""Rows by which the usual shape of a first value is known."""
_FEW, _NEARLY_ALL = 3, 0.9
_SPACES = "".join(map(chr, range(0x21)))


class Record(NamedTuple):
    """A row of a file as text."""

    text: str
    is_rejected: bool
    """Whether the text is not a row: a quote in it is never closed, or it repeats the header."""
    is_strict: bool
    """Whether the row has the right number of fields, and nothing between a closing quote and a separator."""


@dataclass(frozen=True)
class Assembler:
    """Joins the lines of one file to records."""

    dialect: Dialect
    n_fields: int
    has_header: bool = True
    """Whether the first record is a header, which is left out."""
    comment: str = ""
    """Lines that begin with this are left out; empty for none."""
    line_sep: str = "\n"
    """What stands between the lines of a record."""

    def records(self, lines: Iterable[str]) -> Iterator[Record]:
        """Yield the records of a file, whose lines come in the file's order."""
        waiting: deque[str] = deque()
        source = iter(lines)
        header: str | None = None
        shapes: Counter[str] = Counter()
        after_bad = False
        while (line := _next(waiting, source)) is not None:
            if is_blank(line) or (self.comment and line.startswith(self.comment)):
                continue
            usual, n_usual = max(shapes.items(), key=itemgetter(1), default=("", 0))
            record = self._record(line, waiting, source, usual)
            if self.has_header and header is None:
                header = record.text
                continue
            # Files that were put together have the header in the middle too.
            is_header = record.text == header
            # After a bad line its own text may go on. A row is known by the shape that nearly all rows have.
            is_known = n_usual >= max(_FEW, _NEARLY_ALL * shapes.total())
            is_text = after_bad and is_known and self._shape(line) != usual
            after_bad = is_text or not record.is_strict
            if is_header or is_text:
                yield Record(record.text, True, False)
                continue
            if record.is_strict and shapes.total() < _N_SHAPES:
                shapes[self._shape(line)] += 1
            yield record

    def _record(self, line: str, waiting: deque[str], source: Iterator[str], usual: str) -> Record:
        """Return the record that begins with ``line``. ``usual``: the shape of most rows before it."""
        n_fields, is_open, is_strict = self.dialect.scan(line)
        if not is_open:
            return Record(line, False, is_strict and n_fields == self.n_fields)
        taken, n_chars = [line], len(line)
        while is_open and is_strict and len(taken) < MAX_LINES and n_chars < MAX_CHARS:
            more = _next(waiting, source)
            if more is None:
                break
            taken.append(more)
            n_chars += len(more)
            if self._begins_like(more, usual, self._shape(line)):
                break
            if self.dialect.quote in more:
                n_more, is_open, is_strict = self.dialect.scan(more, inside=True)
                n_fields += n_more
        if is_strict and not is_open and n_fields == self.n_fields:
            return Record(self.line_sep.join(taken), False, True)
        waiting.extendleft(reversed(taken[1:]))
        return Record(line, True, False)

    def _begins_like(self, line: str, *shapes: str) -> bool:
        """Whether a line is or begins a row by itself, whose first value has one of the shapes.

        Then a stray quote before the line is more likely than a text that looks like a row.
        """
        if self.dialect.sep not in line:
            return False
        scan = self.dialect.scan(line)
        is_row = scan.is_strict and (
            0 < scan.n_fields < self.n_fields if scan.is_open else scan.n_fields == self.n_fields
        )
        shape = self._shape(line)
        return is_row and shape != "" and shape in shapes

    def _shape(self, line: str) -> str:
        """Return the form of a line's first value: `i007` and `i12` are both `a0`."""
        value = line.partition(self.dialect.sep)[0]
        return re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", value))


def is_blank(line: str) -> bool:
    """Return whether Spark's reader skips the line as empty."""
    return not line.strip(_SPACES)


def _next(waiting: deque[str], source: Iterator[str]) -> str | None:
    return waiting.popleft() if waiting else next(source, None)
