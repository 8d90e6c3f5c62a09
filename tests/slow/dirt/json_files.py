"""JSON that is not one object a line, or not the same kind of object in every line."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.slow.dirt.fault import (
    FILES,
    ONE_FIRST,
    ONE_LAST,
    ONE_MIDDLE,
    PERCENT,
    THIRD,
    Cells,
    Fault,
    Outcome,
    Read,
    Refused,
    Rejected,
    Work,
)
from tests.slow.dirt.files import folder, json_text, parts, put

RIGHT, BAD_ROW = Read(), Rejected("bad_row")


def line_fault(
    name: str, says: str, spoil: Callable[[str], str], outcome: Outcome, table: str = "behaviours", **how: Any
) -> Fault:
    """Return the fault of spoiled lines of one file."""

    def make(work: Work) -> Mapping[str, Any]:
        lines = json_text(work.cells()).splitlines()
        for n in work.chosen:
            lines[n] = spoil(lines[n])
        return work.source(put(work.folder / "rows.json", "\n".join(lines) + "\n"), **how.get("more", {}))

    return Fault(name, says, table, make, outcome, how.get("spreads", (ONE_FIRST, ONE_LAST, THIRD)), formats=("json",))


def foreign(name: str, says: str, line: str, outcome: Outcome, words: str = "") -> Fault:
    """Return the fault of a foreign line between the rows."""

    def make(work: Work) -> Mapping[str, Any]:
        lines = json_text(work.cells()).splitlines()
        lines.insert(work.chosen[0], line)
        if isinstance(outcome, Rejected):
            work.lost = {-1: [words]}
        return work.source(put(work.folder / "rows.json", "\n".join(lines) + "\n"))

    return Fault(name, says, "behaviours", make, outcome, (ONE_MIDDLE,), formats=("json",))


def part_fault(name: str, says: str, part: Callable[[list[Cells]], str | bytes], outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of one file of a folder."""

    def make(work: Work) -> Mapping[str, Any]:
        made = [(part if n == work.file else how.get("others", json_text))(rows) for n, rows in enumerate(parts(work))]
        return work.source(folder(work, made, how.get("ending", "json")))

    return Fault(
        name, says, how.get("table", "behaviours"), make, outcome, how.get("spreads", FILES), formats=("json",)
    )


def _array(rows: list[Cells]) -> str:
    return json.dumps(rows, indent=1)


def _whole_array(work: Work) -> Mapping[str, Any]:
    return work.source(put(work.folder / "rows.json", _array(work.cells())))


def _array_read(work: Work) -> Mapping[str, Any]:
    return work.source(put(work.folder / "rows.json", _array(work.cells())), options={"multiLine": "true"})


def _array_line(work: Work) -> Mapping[str, Any]:
    return work.source(put(work.folder / "rows.json", json.dumps(work.cells())))


def _pretty(work: Work) -> Mapping[str, Any]:
    return work.source(
        put(work.folder / "rows.json", "".join(json.dumps(row, indent=2) + "\n" for row in work.cells()))
    )


def _capitals(rows: list[Cells]) -> str:
    return json_text(rows).replace('"user_id"', '"User_ID"')


def _tag_structs(work: Work) -> Mapping[str, Any]:
    rows: list[Any] = [{**row, "tags": [{"name": tag} for tag in str(row["tags"]).split("|")]} for row in work.cells()]
    work.columns["tags"] = work.spread
    return work.source(put(work.folder / "rows.json", json_text(rows)))


def _number_ids(work: Work) -> Mapping[str, Any]:
    rows: list[Any] = work.cells()
    for n, row in enumerate(rows):
        row["user_id"] = n % 40 + 1000
        work.rows[n]["user_id"] = str(n % 40 + 1000)
    return work.source(put(work.folder / "rows.json", json_text(rows)))


def _float_ids(work: Work) -> Mapping[str, Any]:
    rows: list[Any] = [{**row, "user_id": n % 40 + 0.5} for n, row in enumerate(work.cells())]
    return work.source(put(work.folder / "rows.json", json_text(rows)))


def _cut(rows: list[Cells]) -> bytes:
    made = gzip.compress(json_text(rows).encode())
    return made[: len(made) // 2]


MULTI = Refused(("sources.behaviours", "multiLine"))
FAULTS = (
    line_fault("json cut", "Lines are cut off", lambda line: line[: len(line) - 9], BAD_ROW),
    line_fault("json cut", "Lines of items are cut off", lambda line: line[:-3], BAD_ROW, "items"),
    line_fault(
        "json quotes",
        "Lines have single quotes for double ones within a value",
        lambda line: line[:-1] + ", x}",
        BAD_ROW,
    ),
    line_fault("json comma", "Lines end in a comma after the object", lambda line: line + ",", RIGHT, spreads=(THIRD,)),
    line_fault(
        "json no id",
        "Objects lack the id",
        lambda line: line.replace('"item_id"', '"sku"'),
        Rejected("null_id"),
        spreads=(THIRD,),
    ),
    line_fault(
        "json number ts",
        "Times are epoch seconds in some lines and text in others",
        lambda line: json.dumps({**json.loads(line), "ts": 1706206874}),
        Rejected("bad_ts"),
        spreads=(ONE_MIDDLE, THIRD),
    ),
    line_fault(
        "json list ts",
        "A time is a list in some lines",
        lambda line: json.dumps({**json.loads(line), "ts": ["a"]}),
        Rejected("bad_ts"),
        spreads=(ONE_MIDDLE,),
    ),
    foreign("json words", "A line of words", "# exported by anna", BAD_ROW, "# exported"),
    foreign("json null", "A line that is `null`", "null", BAD_ROW, "null"),
    foreign("json number", "A line that is a number", "17", BAD_ROW, "17"),
    foreign("json list", "A line that is an empty list", "[]", RIGHT),
    foreign("json empty", "A line that is an empty object", "{}", Rejected("null_id"), "{"),
    foreign("json blank", "A blank line", "  ", RIGHT),
    Fault("json array", "All objects are in one list over lines", "behaviours", _whole_array, MULTI, formats=("json",)),
    Fault(
        "json array read",
        "All objects are in one list, and `multiLine` is set",
        "behaviours",
        _array_read,
        RIGHT,
        formats=("json",),
    ),
    Fault(
        "json array line",
        "All objects are in one list on one line",
        "behaviours",
        _array_line,
        RIGHT,
        formats=("json",),
    ),
    Fault("json pretty", "Objects stand over several lines", "behaviours", _pretty, MULTI, formats=("json",)),
    part_fault(
        "json array part", "One file of a folder is a list over lines", _array, Refused(("multiLine", "{file}"))
    ),
    part_fault("json capitals", "One file has keys in capitals", _capitals, Refused(("sources.behaviours", "User_ID"))),
    line_fault(
        "json nested",
        "Rows have an object where others have an id",
        lambda line: re.sub(r'"user_id": ("[^"]*")', r'"user_id": {"id": \1}', line),
        BAD_ROW,
        spreads=(ONE_MIDDLE, THIRD),
    ),
    line_fault("json two", "Lines hold two objects", lambda line: line * 2, BAD_ROW, spreads=(PERCENT, THIRD)),
    line_fault("json tail", "Lines go on after the object", lambda line: line + " # ok", BAD_ROW, spreads=(ONE_LAST,)),
    part_fault("json bom", "One file begins with a byte order mark", lambda rows: "\ufeff" + json_text(rows), RIGHT),
    part_fault(
        "json gz cut",
        "A compressed file is cut off",
        _cut,
        Refused(("sources.behaviours", "{file}")),
        ending="json.gz",
        others=lambda rows: gzip.compress(json_text(rows).encode()),
    ),
    Fault(
        "json structs",
        "`tags = tags`, and tags are objects",
        "items",
        _tag_structs,
        Refused(("sources.items", "tags.name")),
        ("tags",),
        formats=("json",),
    ),
    Fault(
        "json structs named",
        "`tags = tags.name` over objects",
        "items",
        _tag_structs,
        RIGHT,
        ("tags.name",),
        formats=("json",),
    ),
    Fault(
        "json ids",
        "Ids are whole numbers",
        "behaviours",
        _number_ids,
        Read("ids are their digits"),
        formats=("json",),
        alone=True,
    ),
    Fault(
        "json float ids",
        "Ids are numbers with a fraction",
        "behaviours",
        _float_ids,
        Refused(("sources.behaviours", "user_id")),
        formats=("json",),
    ),
)
