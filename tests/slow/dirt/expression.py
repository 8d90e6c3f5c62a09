"""The fault of an expression that raises, or finds nothing, on the values of some rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.slow.dirt.fault import ONE_MIDDLE, THIRD, Cells, Fault, Outcome, Read, Rejected, Work
from tests.slow.dirt.files import one_file
from tests.slow.dirt.shop import Row

Good = Callable[[Row], Cells]
SPREADS, FORMATS = (ONE_MIDDLE, THIRD), ("parquet", "json", "csv")
RIGHT = Read()
BAD_TS, BAD_VALUE, BAD_ID, BAD_WHERE = (Rejected(f"bad_{name}") for name in ("ts", "value", "id", "where"))
INDEX = "element_at(split(x, ','), cast(n as int))"
"""Raises for the index 0."""


def expression(
    name: str,
    table: str,
    column: str,
    text: str,
    good: Good,
    bad: Cells,
    outcome: Outcome,
    becomes: Any = None,
    where: bool = False,
) -> Fault:
    """Return the fault of an expression over cells that are ``good`` but for the chosen rows, which have ``bad``."""

    def make(work: Work) -> Mapping[str, Any]:
        rows = work.cells()
        for row, row_cells in zip(work.rows, rows, strict=True):
            row_cells.update(good(row))
        for n in work.chosen:
            rows[n] |= bad
            if isinstance(outcome, Read):
                work.rows[n][column] = becomes
            if column in ("user_id", "friend_id", "item_id") and not where:
                others = [c for c in ("user_id", "item_id", "friend_id") if c in work.rows[n] and c != column]
                work.lost[n] = [*(work.rows[n][c] for c in others), *(cell for cell in bad.values() if cell)]
        if isinstance(outcome, Read):
            work.lost = {}
        if where:
            return work.source(one_file(work, rows), where=text)
        work.columns[column] = text
        return work.source(one_file(work, rows))

    shown = ", ".join(f"{key} = {'null' if cell is None else repr(cell[:24])}" for key, cell in bad.items())
    says = f"`{'where' if where else f'{table}.{column}'} = {text}` over {shown}"
    which = (*FORMATS[len(name) % 3 :], *FORMATS)
    return Fault(name, says, table, make, outcome, SPREADS, which[:2])


def indexed(column: str) -> Good:
    return lambda row: {"x": str(row[column]), "n": "1"}


def cell(column: str) -> Good:
    return lambda row: {"x": str(row[column])}
