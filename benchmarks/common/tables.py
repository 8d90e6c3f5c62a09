"""Markdown made from rows: a table maps column heads to functions of a row, a section is a table with its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.common.ledger import Row

Columns = Mapping[str, Callable[[Row], object]]
MIB = 2**20


def table(rows: Sequence[Row], columns: Columns) -> list[str]:
    """Return a Markdown table with a line for each row, and an empty line after it.

    >>> table([{"a": 1, "b": 0.5}], {"A": shown("a"), "half": shown("b", ".0%")})
    ['| A | half |', '|---|---|', '| 1 | 50% |', '']
    """
    body = ["| " + " | ".join(str(cell(row)) for cell in columns.values()) + " |" for row in rows]
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *body, ""]


def shown(key: str, form: str = "", unit: float = 1) -> Callable[[Row], str]:
    """Return a cell function: the row's value of ``key`` over ``unit``, in a format; empty if the row has none.

    >>> shown("bytes", ",.1f", unit=1e3)({"bytes": 1_234_500}), shown("other")({})
    ('1,234.5', '')
    """

    def cell(row: Row) -> str:
        value = row.get(key)
        return "" if value is None else format(value if unit == 1 else value / unit, form)

    return cell


def size(row: Row) -> str:
    """Return users x items.

    >>> size({"users": 2_000, "items": 10})
    '2,000 x 10'
    """
    return f"{row['users']:,} x {row['items']:,}"


def _as_they_are(mine: list[Row], _: Sequence[Row]) -> list[Row]:
    return mine


@dataclass(frozen=True)
class Section:
    """The section of a report that shows the rows of one part."""

    heading: str
    columns: Columns
    note: str | Callable[[list[Row]], str] = ""
    """A paragraph above the table"""
    after: Callable[[list[Row]], list[str]] = lambda _: []
    """Lines below the table"""
    prepared: Callable[[list[Row], Sequence[Row]], list[Row]] = _as_they_are
    """From the part's rows and all rows to the lines of the table, if a line needs what another row says"""

    def lines(self, mine: list[Row], rows: Sequence[Row]) -> list[str]:
        """Return Markdown from the part's rows and all rows; nothing if the part has no row."""
        if not mine:
            return []
        mine = self.prepared(mine, rows)
        note = self.note(mine) if callable(self.note) else self.note
        above = [f"## {self.heading}", "", *([note, ""] if note else [])]
        return [*above, *table(mine, self.columns), *self.after(mine)]
