"""Rows of CSV files that are not of the table's form, and rows that only look so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.slow.dirt.fault import ONE_FIRST, ONE_LAST, ONE_MIDDLE, PERCENT, THIRD, Fault, Outcome, Read, Rejected, Work
from tests.slow.dirt.files import csv_text, put
from tests.slow.dirt.shop import cells

Spoil = Callable[[str], str]
BAD_ROW = Rejected("bad_row")
RIGHT = Read()


def row_fault(name: str, says: str, table: str, spoil: Spoil, outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of a file some of whose lines are spoiled."""

    def make(work: Work) -> Mapping[str, Any]:
        lines = csv_text(work.cells()).splitlines()
        for n in work.chosen:
            lines[n + 1] = spoil(lines[n + 1])
        return work.source(put(work.folder / "rows.csv", "\n".join(lines) + "\n"))

    return Fault(name, says, table, make, outcome, **{"spreads": (ONE_FIRST, THIRD), **how})


def line_fault(
    name: str, says: str, line: str, outcome: Outcome, table: str = "behaviours", *, words: str = ""
) -> Fault:
    """Return the fault of foreign lines between the rows; the rows themselves are all read."""

    def make(work: Work) -> Mapping[str, Any]:
        lines = csv_text(work.cells()).splitlines()
        for done, n in enumerate(work.chosen):
            lines.insert(n + 1 + done, line)
        if isinstance(outcome, Rejected):
            work.lost = {-1 - n: [words or line] for n in range(len(work.chosen))}
        return work.source(put(work.folder / "rows.csv", "\n".join(lines) + "\n"))

    return Fault(name, says, table, make, outcome, (ONE_MIDDLE, ONE_LAST))


def title_fault(name: str, says: str, title: str, written: Callable[[str], str], **how: Any) -> Fault:
    """Return the fault of titles that need care; ``written`` gives the title's cell in the file."""

    def make(work: Work) -> Mapping[str, Any]:
        lines = [csv_text([], list(work.cells()[0]))]
        for n, row in enumerate(work.rows):
            changed = n in work.chosen
            line = csv_text([cells(work.table, {**row, "title": "@@"} if changed else row)], with_header=False)
            if changed and "outcome" not in how:
                # A line break within quotes is stored as one character.
                row["title"] = title.replace("\r\n", "\n")
            lines.append(line.replace("@@", written(title)))
        return work.source(put(work.folder / "rows.csv", "".join(lines)), options=how.get("options", {}))

    return Fault(name, says, "items", make, how.get("outcome", RIGHT), how.get("spreads", (PERCENT, THIRD)))


def _doubled(title: str) -> str:
    return '"' + title.replace('"', '""') + '"'


def _escaped(title: str) -> str:
    return '"' + title.replace('"', '\\"') + '"'


INCHES = 'Shelf 27", oak, "red lamp" edition'
PARAGRAPHS = 'red lamp\nnew, in two sizes\n\nsays "anna", who has one'
FAULTS = (
    title_fault(
        "quotes-doubled",
        "Titles hold quotes and commas, quotes are doubled, as pandas and Excel write them",
        INCHES,
        _doubled,
    ),
    title_fault(
        "quotes-escaped",
        "Quotes in titles have a backslash before them, as databases write them",
        INCHES,
        _escaped,
        spreads=(THIRD,),
    ),
    title_fault("quote-ends", "A title ends in a doubled quote", 'oak shelf 27"', _doubled),
    title_fault("quote-alone", "A title is one doubled quote", '"', _doubled),
    title_fault("quote-inside", "A title without quotes around it holds one", 'lamp 27" oak', str),
    title_fault("backslash", "A quoted title ends in a backslash", "lamp, C:\\", _doubled),
    title_fault("line-breaks", "Quoted titles hold line breaks", PARAGRAPHS, _doubled),
    title_fault("line-breaks-windows", "Quoted titles hold line breaks of Windows", "red\r\nlamp, new", _doubled),
    title_fault("commas", "Quoted titles hold commas", "red, green, blue", _doubled),
    title_fault("spaces", "A title has spaces at both ends", "  red lamp ", str),
    row_fault(
        "quote-stray",
        "A title begins with a quote that never ends",
        "items",
        lambda line: line.replace(",", ',"', 1),
        BAD_ROW,
        spreads=(ONE_FIRST, ONE_MIDDLE, ONE_LAST),
    ),
    row_fault("fields-more", "Rows have a field too many", "behaviours", lambda line: line + ",x", BAD_ROW),
    row_fault(
        "fields-more",
        "Rows of items have two fields too many",
        "items",
        lambda line: line.replace(",", ",new,cheap,", 1),
        BAD_ROW,
    ),
    row_fault("fields-fewer", "Rows have a field too few", "behaviours", lambda line: line.rpartition(",")[0], BAD_ROW),
    row_fault("fields-fewer", "Rows of items end early", "items", lambda line: ",".join(line.split(",")[:2]), BAD_ROW),
    row_fault("comma-last", "Rows end in a comma", "relations", lambda line: line + ",", BAD_ROW),
    row_fault(
        "comma-decimal",
        "Numbers have decimal commas without quotes",
        "relations",
        lambda line: line.replace(".", ","),
        BAD_ROW,
    ),
    row_fault(
        "semicolon", "Rows have semicolons for commas", "behaviours", lambda line: line.replace(",", ";"), BAD_ROW
    ),
    line_fault(
        "header-again",
        "The header is repeated between the rows",
        "user_id,item_id,event,ts,value",
        BAD_ROW,
        words="user_id",
    ),
    line_fault("comment", "A line of words stands between the rows", "# exported by anna", BAD_ROW),
    line_fault("total", "A line with the count stands between the rows", "(400 rows affected)", BAD_ROW),
    line_fault("blank", "Blank lines stand between the rows", "", RIGHT),
    line_fault("commas-only", "A line holds only commas", ",,,,", Rejected("null_id"), words="{"),
)
