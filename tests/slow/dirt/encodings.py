"""Files in another encoding than is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.slow.dirt.fault import FILES, ONE_MIDDLE, THIRD, Fault, Outcome, Read, Refused, Rejected, Work
from tests.slow.dirt.files import csv_text, folder, json_text, parts, put

RIGHT = Read()
LEGACY = {"spark.sql.legacy.javaCharsets": "true"}


def encoded(
    name: str, says: str, charset: str, outcome: Outcome, word: str = "é", column: str = "user_id", **how: Any
) -> Fault:
    """Return the fault of a file in ``charset`` whose chosen rows have ``word`` in a column."""

    def make(work: Work) -> Mapping[str, Any]:
        for n in work.chosen if how.get("spreads", (THIRD,)) else range(len(work.rows)):
            work.rows[n][column] += word
            if isinstance(outcome, Rejected):
                # Spark shows what it cannot decode as another character.
                work.lost[n] = [work.rows[n]["item_id"].removesuffix(word)]
        text = (json_text if work.format == "json" else csv_text)(work.cells())
        path = put(work.folder / f"rows.{work.format}", text.encode(charset))
        return work.source(path, **({"options": how["options"]} if "options" in how else {}))

    rest = {key: value for key, value in how.items() if key in ("settings", "formats")}
    return Fault(
        name, says, how.get("table", "behaviours"), make, outcome, how.get("spreads", (ONE_MIDDLE, THIRD)), **rest
    )


def _one_of_three(work: Work) -> Mapping[str, Any]:
    made: list[str | bytes] = []
    for number, rows in enumerate(parts(work)):
        if number == work.file:
            for row in rows:
                row["user_id"] = f"{row['user_id']}é"
        made.append(csv_text(rows).encode("latin-1" if number == work.file else "utf-8"))
    size = len(parts(work)[0])
    for n in range(len(work.rows)):
        if n // size == work.file:
            work.lost[n] = [work.rows[n]["item_id"]]
    return work.source(folder(work, made))


BAD = Rejected("bad_encoding")
UTF16 = Refused(("sources.behaviours", "UTF-16"))
CHARSETS = Refused(("sources.behaviours", "spark.sql.legacy.javaCharsets"))
FAULTS = (
    encoded("latin-1", "Ids are latin-1 and no `encoding` is set", "latin-1", BAD),
    encoded("cp1252", "Ids are Windows-1252 and no `encoding` is set", "cp1252", BAD, "’"),
    encoded("gbk", "Ids are GBK and no `encoding` is set", "gbk", BAD, "用户"),
    encoded(
        "latin-1-item",
        "Ids of items are latin-1 and no `encoding` is set",
        "latin-1",
        BAD,
        column="item_id",
        table="items",
    ),
    encoded("latin-1-json", "JSON is latin-1", "latin-1", Rejected("bad_row"), formats=("json",)),
    Fault("latin-1-file", "One file of a folder is latin-1", "behaviours", _one_of_three, BAD, FILES),
    encoded(
        "latin-1-said", "Ids are latin-1 and `encoding` says so", "latin-1", RIGHT, options={"encoding": "ISO-8859-1"}
    ),
    encoded("utf-8", "Ids are UTF-8 in many scripts", "utf-8", RIGHT, "é用户🎧"),
    encoded(
        "gbk-said",
        "`encoding` is GBK, which Spark 4 refuses",
        "gbk",
        CHARSETS,
        "用户",
        spreads=(),
        options={"encoding": "GBK"},
    ),
    encoded(
        "gbk-legacy",
        "`encoding` is GBK with `spark.sql.legacy.javaCharsets`",
        "gbk",
        RIGHT,
        "用户",
        settings=LEGACY,
        options={"encoding": "GBK"},
        spreads=(THIRD,),
    ),
    encoded(
        "cp1252-said",
        "`encoding` is windows-1252, which Spark 4 refuses",
        "cp1252",
        CHARSETS,
        "’",
        spreads=(),
        options={"encoding": "windows-1252"},
    ),
    encoded("utf-16", "The file is UTF-16 and no `encoding` is set", "utf-16", UTF16, spreads=()),
    encoded(
        "utf-16-said",
        "The file is UTF-16 and `encoding` says so",
        "utf-16",
        Read("read, or refused with the remedy"),
        spreads=(),
        options={"encoding": "UTF-16"},
    ),
    encoded("utf-16-json", "JSON is UTF-16", "utf-16", UTF16, spreads=(), formats=("json",)),
    encoded(
        "encoding-unknown",
        "`encoding` names no encoding",
        "utf-8",
        Refused(("sources.behaviours", "encoding")),
        spreads=(),
        options={"encoding": "UTF-9"},
    ),
)
