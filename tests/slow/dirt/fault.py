"""What a fault is: how it spoils a source, and what it must cause."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.slow.dirt.shop import COLUMNS, Row, cells

Cells = dict[str, str | None]


@dataclass(frozen=True)
class Read:
    """The stored tables are the right ones: what a clean source gives, or what the fault says."""

    how: str = "read rightly"
    warns: str = ""
    """Words of a warning in the log."""


@dataclass(frozen=True)
class Rejected:
    """Each spoiled row is in rejected_rows with this reason and its content; all others are read."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """Ingest stops with this class of error, whose message holds these words."""

    words: Sequence[str]
    kind: str = "SourceError"
    status: int = 3


Outcome = Read | Rejected | Refused
ONE_FIRST, ONE_MIDDLE, ONE_LAST = "first row", "middle row", "last row"
PERCENT, THIRD = "1% of rows", "30% of rows"
ROWS = (ONE_FIRST, ONE_MIDDLE, ONE_LAST, PERCENT, THIRD)
FILES = ("first file", "middle file", "last file")
N_FILES = 3


@dataclass
class Work:
    """A source to spoil: where its files go, its clean rows, and which of them to spoil."""

    folder: Path
    table: str
    rows: list[Row]
    """Clean rows; a fault that changes what must be stored changes them here."""
    spread: str
    format: str
    rng: random.Random
    extra: dict[str, list[Row]] = field(default_factory=dict)
    """Rows of other tables, for their clean sources."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.columns = dict(COLUMNS[self.table])
        self.lost: dict[int, Sequence[str]] = {}
        """Rejected rows: position -> words that the rejected text must hold. Empty: the chosen rows, by their ids."""

    @property
    def chosen(self) -> list[int]:
        """Positions of the rows to spoil."""
        n = len(self.rows)
        one = {ONE_FIRST: 0, ONE_MIDDLE: n // 2, ONE_LAST: n - 1}
        if self.spread in one:
            return [one[self.spread]]
        share = 0.3 if self.spread == THIRD else 0.01
        return sorted(random.Random(n).sample(range(n), max(1, round(share * n))))

    @property
    def file(self) -> int:
        """Number of the file to spoil."""
        return FILES.index(self.spread) if self.spread in FILES else 1

    def cells(self) -> list[Cells]:
        """Return the cells of all clean rows."""
        return [cells(self.table, row) for row in self.rows]

    def source(self, path: Path | str, form: str | None = None, **more: Any) -> dict[str, Any]:
        """Return the `[sources.NAME]` section that reads ``path``."""
        options = {"options": {"header": "true", **more.pop("options", {})}} if (form or self.format) == "csv" else {}
        return {"format": form or self.format, "path": str(path), "columns": self.columns, **options, **more}


@dataclass(frozen=True)
class Fault:
    """One kind of dirt."""

    name: str
    says: str
    """The fault in words, for the page."""
    table: str
    make: Callable[[Work], Mapping[str, Any]]
    """Writes the spoiled files and returns the source that reads them."""
    outcome: Outcome
    spreads: Sequence[str] = ()
    """Shares of rows or positions of files it comes in; empty: it spoils the whole source."""
    formats: Sequence[str] = ("csv",)
    """One for each spread in turn."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of Spark; a fault that has any runs alone."""
    alone: bool = False
    """Whether ids of the source do not say which fault they come from."""


@dataclass(frozen=True)
class Case:
    """A fault in one spread, with a prefix of ids of its own."""

    fault: Fault
    spread: str
    format: str
    number: int

    @property
    def prefix(self) -> str:
        """What its ids begin with."""
        return f"q{self.number:03}-"

    @property
    def title(self) -> str:
        """Name for people."""
        return " / ".join(part for part in (self.fault.name, self.fault.table, self.format, self.spread) if part)

    @property
    def pooled(self) -> bool:
        """Whether it can be in one run with others."""
        return not (self.fault.alone or self.fault.settings or isinstance(self.fault.outcome, Refused))


def cases(faults: Sequence[Fault]) -> list[Case]:
    """Return every fault in each of its spreads."""
    wanted = [(fault, n, spread) for fault in faults for n, spread in enumerate(fault.spreads or ("",))]
    return [
        Case(fault, spread, fault.formats[n % len(fault.formats)], number)
        for number, (fault, n, spread) in enumerate(wanted)
    ]
