"""Values in the names of folders, which Spark likes to read as numbers and dates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from tests.slow.dirt.fault import Cells, Fault, Outcome, Read, Refused, Rejected, Work
from tests.slow.dirt.files import content, put
from tests.slow.dirt.shop import clean_rows

STAY, RIGHT = Read("ids stay text"), Read()
Name = Callable[[int], str]


def write_folders(work: Work, column: str, rows: list[Cells], named: str | None = None) -> None:
    """Write one file per value of ``column``, which only the folder's name then holds."""
    groups: dict[str, list[Cells]] = defaultdict(list)
    for row in rows:
        groups[str(row[column])].append({name: cell for name, cell in row.items() if name != column})
    for value, group in groups.items():
        place = work.folder / "parts" / f"{named or column}={quote(value, safe=' ')}"
        put(place / f"p.{work.format}", content(group, work.format))


def ids_fault(
    name: str,
    says: str,
    table: str,
    column: str,
    ids: list[str],
    outcome: Outcome = STAY,
    formats: tuple[str, ...] = ("parquet",),
) -> Fault:
    """Return the fault of a key in folder names; the ids of users are these, in turn."""

    def make(work: Work) -> Mapping[str, Any]:
        for n, row in enumerate(work.rows):
            row[column] = ids[n % len(ids)]
        write_folders(work, column, work.cells())
        return work.source(work.folder / "parts")

    return Fault(name, says, table, make, outcome, formats=formats, alone=True)


def _shops(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    for n, row in enumerate(rows):
        row["shop"] = ("01", "1", "001")[n % 3]
        work.rows[n]["user_id"] = f"{row['shop']}-{row['user_id']}"
    write_folders(work, "shop", rows)
    work.columns["user_id"] = "concat(shop, '-', user_id)"
    return work.source(work.folder / "parts")


def _items(work: Work) -> Mapping[str, Any]:
    for n, row in enumerate(work.rows):
        row["item_id"] = f"{n % 10:05}"
    work.extra["items"] = [{**row, "item_id": f"{n:05}"} for n, row in enumerate(clean_rows("items", "", 0)[:10])]
    write_folders(work, "item_id", work.cells())
    return work.source(work.folder / "parts")


def _null(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    for n in work.chosen:
        rows[n]["user_id"] = "__HIVE_DEFAULT_PARTITION__"
        work.lost[n] = [work.rows[n]["item_id"]]
    write_folders(work, "user_id", rows)
    return work.source(work.folder / "parts")


def _depths(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    half = len(rows) // 2
    write_folders(work, "event", rows[:half])
    put(work.folder / "parts" / f"old.{work.format}", content(rows[half:], work.format))
    return work.source(work.folder / "parts")


def _two_names(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    half = len(rows) // 2
    write_folders(work, "event", rows[:half])
    write_folders(work, "event", rows[half:], named="kind")
    return work.source(work.folder / "parts")


def _dates(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    for row, cells in zip(work.rows, rows, strict=True):
        cells["day"] = str(cells["ts"])[:10]
        row["ts"] = row["ts"].replace(hour=0, minute=0, second=0)
    write_folders(work, "day", rows)
    work.columns["ts"] = "cast(day as timestamp)"
    return work.source(work.folder / "parts")


def _glob(work: Work) -> Mapping[str, Any]:
    write_folders(work, "event", work.cells())
    return work.source(f"{work.folder}/parts/event=*", options={"basePath": f"{work.folder}/parts"})


ODD = ["1e5", "0x10", "true", "2024-01-01", "NULL", "1.50", "+7", "1_0", "12:30", "1L", "2D", "nan", "Infinity", "null"]
ZEROS = ["00017", "17", "017", "0", "00", "-0", "007"]
LONG = ["9" * 25, "9" * 25 + "1", "0.1234567890123456789", "1" * 19]
FAULTS = (
    Fault("partition item", "Folders `item_id=00007`", "behaviours", _items, STAY, formats=("parquet",), alone=True),
    Fault(
        "partition shop", "Folders `shop=01`, `shop=1` and `shop=001`", "behaviours", _shops, STAY, formats=("parquet",)
    ),
    Fault(
        "partition shop",
        "Folders `shop=01` and `shop=1` of CSV files",
        "behaviours",
        _shops,
        STAY,
        ("",),
        formats=("csv",),
    ),
    ids_fault("partition zeros", "Folders `user_id=00017` and `user_id=17`", "behaviours", "user_id", ZEROS),
    ids_fault(
        "partition odd", "Folders `user_id=1e5`, `0x10`, `true`, `2024-01-01`, `NULL` ...", "behaviours", "user_id", ODD
    ),
    ids_fault(
        "partition odd",
        "Folders `user_id=1e5`, `0x10`, ... of JSON files",
        "behaviours",
        "user_id",
        ODD,
        formats=("json",),
    ),
    ids_fault(
        "partition odd",
        "Folders `friend_id=1e5`, `0x10`, ... of ORC files",
        "relations",
        "friend_id",
        ODD,
        formats=("orc",),
    ),
    ids_fault("partition long", "Folders named by numbers of 25 digits", "behaviours", "user_id", LONG),
    ids_fault(
        "partition signs",
        "Folders named `a%2Fb`, with spaces, or in Chinese",
        "behaviours",
        "user_id",
        ["a/b", "a b", "用户1", "a=b", "50%"],
        RIGHT,
    ),
    Fault(
        "partition null",
        "A folder `user_id=__HIVE_DEFAULT_PARTITION__`",
        "behaviours",
        _null,
        Rejected("null_id"),
        ("30% of rows",),
        formats=("parquet",),
    ),
    Fault(
        "partition depths",
        "Files lie beside partition folders",
        "behaviours",
        _depths,
        Refused(("sources.behaviours",)),
        formats=("parquet",),
    ),
    Fault(
        "partition names",
        "Folders `event=` and `kind=` in one source",
        "behaviours",
        _two_names,
        Refused(("sources.behaviours",)),
        formats=("parquet",),
    ),
    Fault(
        "partition dates", "Folders `day=2024-01-25` give the time", "behaviours", _dates, RIGHT, formats=("parquet",)
    ),
    Fault("partition glob", "A pattern `event=*` with `basePath`", "behaviours", _glob, RIGHT, formats=("parquet",)),
)
