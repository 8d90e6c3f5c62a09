"""Writes docs/dirty-data.md from the faults: ``python -m tests.slow.dirt.page``. It needs no Spark."""

from __future__ import annotations

import re
from pathlib import Path

from tests.slow.dirt.fault import Fault, Outcome, Read, Rejected
from tests.slow.dirt.registry import FAMILIES

PAGE = Path(__file__).parents[3] / "docs" / "dirty-data.md"
INTRO = """<!-- Written by `python -m tests.slow.dirt.page` from the faults in tests/slow/dirt. Edit them instead. -->

# What happens to dirty data

**No table is read wrongly in silence, and one bad row does not stop a night.** Ingest answers a fault of the input in
one of three ways:

- **Read rightly**: the stored tables are the ones that a clean source gives.
- **Rejected**: the row is in `rejected_rows` with its reason and its content. All other rows are read. The
  [reasons](tables.md#rejected_rows) are listed with the table.
- **Refused**: ingest stops before anything is published. The error names the source, what was found, and the remedy.
  [The runbook](runbook.md#the-exit-status) lists the exit statuses.

Each row below is tried by the slow tests. They spoil a small clean shop with the fault and run ingest. Then they
compare every stored table and every rejected row with the right ones. Each fault is tried once. With the variable
`DIRT_EVERY_SPREAD` set, faults of rows come in one row, in 1% and in 30% of the rows. Faults of files then come in the
first, the middle and the last file.
"""
LIMITS = """## Known limits

- A copy of a file with the table's own ending, such as `Copy of a.csv`, cannot be told from a part of the table.
- In UTF-16 and UTF-32 files, a quote that never ends swallows the rows behind it.
- Two stray quotes in one line of a CSV file pair up: `27" lamp,"seat` is read as two fields.
- An error in a Python function that the session registered fails its source.
"""
ELSEWHERE = """## Tried elsewhere

| fault | what happens | page |
|---|---|---|
| an address such as `file:/data`, `~` or `C:\\data` | read or refused | [configuration](configuration.md#addresses) |
| a configuration with a byte order mark or in UTF-16 | read rightly or refused | [configuration](configuration.md) |
| an encoder folder with unusual files | honoured, refused by name or warned of | [encoders](encoders.md) |
| no Java, a foreign `SPARK_HOME`, an unwritable folder | refused, status 10 | [runbook](runbook.md#the-exit-status) |
| modules in the working directory called like Python's own | not imported | [runbook](runbook.md#the-exit-status) |
"""


def page() -> str:
    """Return the page."""
    parts = [INTRO]
    for title, faults in FAMILIES.items():
        rows = dict.fromkeys(_row(fault) for fault in faults)
        parts.append("\n".join([f"## {title}\n", "| fault | source | what happens |", "|---|---|---|", *rows, ""]))
    return "\n".join([*parts, LIMITS, ELSEWHERE])


def _row(fault: Fault) -> str:
    source = f"`{fault.table}`, {' or '.join(dict.fromkeys(fault.formats))}"
    return f"| {_cell(fault.says)} | {source} | {_cell(happens(fault.outcome))} |"


def happens(outcome: Outcome) -> str:
    """Return an outcome in words.

    >>> happens(Rejected("bad_ts"))
    'rejected: `bad_ts`'
    """
    if isinstance(outcome, Read):
        return outcome.how
    if isinstance(outcome, Rejected):
        return f"rejected: `{outcome.reason}`"
    named = [f"`{word}`" for word in outcome.words if not word.startswith(("sources.", "{"))]
    named = ["the file"] * ("{file}" in outcome.words) + named
    return f"refused, status {outcome.status}" + (f"; the message names {', '.join(named)}" if named else "")


def _cell(text: str) -> str:
    # A backtick within code needs two around it.
    text = re.sub(r"`([^`]*)(`[^`]+`)`", r"`` \1\2 ``", text)
    # A bar ends a cell even inside code, unless it is escaped.
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
