"""Ids that say nothing, rows that come twice, joins and groups that raise, text files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.slow.dirt.fault import (
    ONE_FIRST,
    ONE_MIDDLE,
    PERCENT,
    THIRD,
    Fault,
    Outcome,
    Read,
    Rejected,
    Work,
)
from tests.slow.dirt.files import arrow, one_file, put

RIGHT = Read()


def cell_fault(
    name: str,
    says: str,
    table: str,
    column: str,
    cell: str | None,
    outcome: Outcome,
    marks: Sequence[str] = (),
    **how: Any,
) -> Fault:
    """Return the fault of chosen rows that have another cell in a column."""

    def make(work: Work) -> Mapping[str, Any]:
        rows = work.cells()
        for n in work.chosen:
            rows[n][column] = cell
            if isinstance(outcome, Rejected):
                work.lost[n] = [str(work.rows[n][mark]) for mark in marks]
            elif isinstance(outcome, Read) and "becomes" not in how:
                work.rows[n][column] = cell
        return work.source(one_file(work, rows))

    formats = how.get("formats", ("csv", "parquet"))
    return Fault(name, says, table, make, outcome, how.get("spreads", (ONE_FIRST, THIRD)), formats=formats)


def warned(word: str) -> Fault:
    """Return the fault of ids that are a word for nothing; they are kept, and above 1% of rows there is a warning."""

    def make(work: Work) -> Mapping[str, Any]:
        rows = work.cells()
        for n in work.chosen:
            rows[n]["user_id"] = work.rows[n]["user_id"] = word
        return work.source(one_file(work, rows))

    says = f"30% of rows have the user `{word}`"
    return Fault(f"id {word}", says, "behaviours", make, Read("read, with a warning", word), (THIRD,), formats=("csv",))


def twice(table: str) -> Fault:
    """Return the fault of rows that come twice."""

    def make(work: Work) -> Mapping[str, Any]:
        rows = work.cells()
        return work.source(one_file(work, rows + [rows[n] for n in work.chosen]))

    return Fault("rows twice", f"Rows of {table} come twice", table, make, Read("merged"), (ONE_MIDDLE, THIRD))


def _other_content(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    again = [{**rows[n], "title": "zzz another title"} for n in work.chosen]
    work.lost = {-1 - n: [work.rows[n]["item_id"], "zzz"] for n in work.chosen}
    return work.source(one_file(work, rows + again))


def joined(
    name: str, says: str, text: str, bad: str, good: Callable[[str], str], outcome: Outcome, **how: Any
) -> Fault:
    """Return the fault of a side table: titles of items come from a join, as ``text`` over the cell x."""

    def make(work: Work) -> Mapping[str, Any]:
        rows = work.cells()
        side = [{"id": row["item_id"], "x": good(str(row.pop("title")))} for row in rows]
        for n in work.chosen:
            if "twice" in how:
                side.append({**side[n], "x": bad})
            else:
                side[n]["x"] = bad
                work.rows[n]["title"] = None
            if isinstance(outcome, Rejected):
                work.lost[-1 - n] = [work.rows[n]["item_id"], bad]
        path = put(work.folder / "side.parquet", arrow(side))
        join = {"format": "parquet", "path": str(path), "on": ["item_id"], "columns": {"item_id": "id", "title": text}}
        return work.source(one_file(work, rows), join=[join])

    return Fault(name, says, "items", make, outcome, (ONE_MIDDLE, THIRD), formats=("parquet", "csv"))


def grouped(name: str, says: str, text: str, bad: str, outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of an aggregate: tags of items come from one row per tag, as ``text`` over the cell x."""

    def make(work: Work) -> Mapping[str, Any]:
        work.columns = {"item_id": "item_id", "title": "max(title)", "tags": text}
        rows = []
        for n, row in enumerate(work.rows):
            row |= {"description": None, "category": None, "attributes": None, **how.get("becomes", {})}
            row["tags"] = sorted(row["tags"])
            tags = row["tags"] if n not in work.chosen else [*row["tags"], bad]
            if n in work.chosen and isinstance(outcome, Rejected):
                work.lost[-1 - n] = [row["item_id"], bad]
            rows += [{"item_id": row["item_id"], "title": row["title"], "x": tag} for tag in tags]
        return work.source(one_file(work, rows), group_by=["item_id"])

    return Fault(name, says, "items", make, outcome, (ONE_MIDDLE, THIRD), formats=("parquet", "csv"))


def text_fault(name: str, says: str, spoil: Callable[[str], str], outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of lines of a text file, which expressions split."""

    def make(work: Work) -> Mapping[str, Any]:
        lines = ["\t".join(str(cell) for cell in row.values()) for row in work.cells()]
        for n in work.chosen:
            lines[n] = spoil(lines[n])
            work.lost[n] = how.get("marks", lambda row: [row["user_id"]])(work.rows[n])
        work.columns = {
            name: f"split(value, '\\t')[{n}]"
            for n, name in enumerate(("user_id", "item_id", "behaviour", "ts", "value"))
        }
        ending = how.get("end", "\n")
        return work.source(put(work.folder / "rows.txt", "".join(line + ending for line in lines)), "text")

    return Fault(name, says, "behaviours", make, outcome, how.get("spreads", (ONE_MIDDLE, THIRD)), formats=("text",))


URL_GOOD = "url_decode(x)"
BOTH_IDS = ("item_id",)
FAULTS = (
    cell_fault("id absent", "Rows have no user", "behaviours", "user_id", None, Rejected("null_id"), BOTH_IDS),
    cell_fault(
        "id blank",
        "Rows have a blank user",
        "behaviours",
        "user_id",
        "  ",
        Rejected("empty_id"),
        BOTH_IDS,
        formats=("parquet",),
    ),
    cell_fault("id long", "Ids have 600 bytes", "behaviours", "user_id", "x" * 600, Rejected("id_too_long"), BOTH_IDS),
    cell_fault(
        "id absent", "Relations have no friend", "relations", "friend_id", None, Rejected("null_id"), ("user_id",)
    ),
    cell_fault(
        "id unknown sign", "Ids hold U+FFFD", "behaviours", "user_id", "jos\ufffd", Rejected("bad_encoding"), BOTH_IDS
    ),
    cell_fault("ts absent", "Rows have no time", "behaviours", "ts", None, Rejected("bad_ts"), ("user_id", "item_id")),
    cell_fault(
        "ts zero",
        "Times are 0000-00-00",
        "behaviours",
        "ts",
        "0000-00-00 00:00:00",
        Rejected("bad_ts"),
        ("user_id", "item_id"),
    ),
    cell_fault(
        "ts 9999",
        "Times are of 9999",
        "behaviours",
        "ts",
        "9999-12-31 23:59:59",
        Rejected("future_ts"),
        ("user_id", "item_id"),
    ),
    cell_fault(
        "event absent",
        "Rows have no behaviour",
        "behaviours",
        "event",
        None,
        Rejected("null_behaviour"),
        ("user_id", "item_id"),
    ),
    cell_fault(
        "value minus", "Values are below 0", "behaviours", "value", "-3", Rejected("bad_value"), ("user_id", "item_id")
    ),
    cell_fault(
        "item unknown",
        "Items are not in the catalogue",
        "behaviours",
        "item_id",
        "ghost",
        Rejected("unknown_item"),
        ("user_id",),
    ),
    cell_fault("title absent", "Items have no title", "items", "title", None, RIGHT),
    *(warned(word) for word in ("NULL", "None", "nan", "\\N", "null", "N/A")),
    *(twice(table) for table in ("behaviours", "items", "users", "relations")),
    Fault(
        "item twice",
        "Items come twice with different titles",
        "items",
        _other_content,
        Rejected("duplicate_item"),
        (PERCENT, THIRD),
    ),
    joined(
        "join raises",
        "An expression of a joined table raises",
        URL_GOOD,
        "%zz",
        lambda x: x.replace(" ", "+"),
        Rejected("bad_value"),
    ),
    joined(
        "join twice",
        "A joined table has a key twice, with the same values",
        "x",
        "zzz",
        str,
        Rejected("duplicate_item"),
        twice=True,
    ),
    joined("join absent", "A joined table has no value", "nullif(x, '?')", "?", str, RIGHT),
    grouped(
        "group raises",
        "A function within an aggregate raises",
        "array_sort(collect_set(url_decode(x)))",
        "%zz",
        Rejected("bad_value"),
    ),
    grouped("group right", "A value of an aggregate is null", "array_sort(collect_set(nullif(x, '?')))", "?", RIGHT),
    text_fault(
        "text short",
        "Lines of a text file have too few fields",
        lambda line: "\t".join(line.split("\t")[:3]),
        Rejected("bad_ts"),
    ),
    text_fault(
        "text other", "Lines of a text file have no tabs", lambda line: line.replace("\t", " "), Rejected("null_id")
    ),
)
