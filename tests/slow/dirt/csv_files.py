"""CSV files that are not like the others of their folder, or not of this table at all."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.slow.dirt.fault import FILES, Cells, Fault, Outcome, Read, Refused, Work
from tests.slow.dirt.files import csv_text, folder, one_file, parts, put

Part = Callable[[list[Cells]], str | bytes]
RIGHT, BY_NAME = Read(), Read("columns are read by name")


def file_fault(name: str, says: str, table: str, part: Part, outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of one file of a folder, which ``part`` writes in its own way."""
    more, ending = how.pop("more", {}), how.pop("ending", "csv")

    def make(work: Work) -> Mapping[str, Any]:
        made = [(part if n == work.file else csv_text)(rows) for n, rows in enumerate(parts(work))]
        place = folder(work, made, "csv")
        if ending != "csv":
            (place / f"part-{work.file}.csv").rename(place / f"part-{work.file}.{ending}")
        return work.source(place, **more)

    return Fault(name, says, table, make, outcome, **{"spreads": FILES, **how})


def litter(name: str, says: str, file: str, content: str | bytes, outcome: Outcome, table: str = "behaviours") -> Fault:
    """Return the fault of a foreign file in a folder."""

    def make(work: Work) -> Mapping[str, Any]:
        place = folder(work, [csv_text(rows) for rows in parts(work)])
        put(place / file, content)
        return work.source(place)

    return Fault(name, says, table, make, outcome)


def whole(name: str, says: str, write: Callable[[Work], Mapping[str, Any]], outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of a whole source."""
    return Fault(name, says, how.pop("table", "behaviours"), write, outcome, **how)


def _reordered(rows: list[Cells]) -> str:
    return csv_text(rows, [*list(rows[0])[1:], next(iter(rows[0]))])


def _renamed(old: str, new: str) -> Part:
    def write(rows: list[Cells]) -> str:
        return csv_text([{(new if name == old else name): cell for name, cell in row.items()} for row in rows])

    return write


def _without(name: str) -> Part:
    return lambda rows: csv_text([{key: cell for key, cell in row.items() if key != name} for row in rows])


def _with(rows: list[Cells]) -> str:
    return csv_text([{"shop": "s1", **row} for row in rows])


def _no_header(rows: list[Cells]) -> str:
    return csv_text(rows, with_header=False)


def _all_without_header(work: Work) -> Mapping[str, Any]:
    return work.source(folder(work, [_no_header(rows) for rows in parts(work)]))


def _separated(sign: str) -> Callable[[Work], Mapping[str, Any]]:
    return lambda work: work.source(put(work.folder / "rows.csv", csv_text(work.cells(), delimiter=sign)))


def _preamble(work: Work) -> Mapping[str, Any]:
    return work.source(put(work.folder / "rows.csv", "Export of 2024-03-31\n" + csv_text(work.cells())))


def _twice(work: Work) -> Mapping[str, Any]:
    text = csv_text(work.cells()).replace("event", "user_id", 1)
    return work.source(put(work.folder / "rows.csv", text))


def _inferred(*ids: str) -> Callable[[Work], Mapping[str, Any]]:
    def write(work: Work) -> Mapping[str, Any]:
        for n, row in enumerate(work.rows):
            row["user_id"] = ids[n % len(ids)]
        return work.source(one_file(work), options={"inferSchema": "true"})

    return write


def _gz(work: Work) -> Mapping[str, Any]:
    made = [gzip.compress(csv_text(rows).encode()) for rows in parts(work)]
    return work.source(folder(work, made, "csv.gz"))


def _gz_cut(work: Work) -> Mapping[str, Any]:
    made = [gzip.compress(csv_text(rows).encode()) for rows in parts(work)]
    made[work.file] = made[work.file][: len(made[work.file]) // 2]
    return work.source(folder(work, made, "csv.gz"))


def _gz_not(work: Work) -> Mapping[str, Any]:
    made: list[str | bytes] = [gzip.compress(csv_text(rows).encode()) for rows in parts(work)]
    made[work.file] = csv_text(parts(work)[work.file])
    return work.source(folder(work, made, "csv.gz"))


def _empty_folder(work: Work) -> Mapping[str, Any]:
    (work.folder / "parts").mkdir()
    return work.source(work.folder / "parts")


def _only_hidden(work: Work) -> Mapping[str, Any]:
    put(work.folder / "parts" / "_SUCCESS", "")
    return work.source(work.folder / "parts")


OTHER = Refused(("sources.{table}", "{file}", "columns_may_differ"))
BY_FILE = Refused(("sources.{table}", "{file}"))
SEP = Refused(("sources.behaviours", "sep"))
FOREIGN = "the events of our shop\none file a day, ask anna\n"
ZIP = b"PK\x03\x04" + random.Random(1).randbytes(300)
FAULTS = (
    file_fault("order", "One file has its columns in another order", "behaviours", _reordered, BY_NAME),
    file_fault("order", "One file of items has its columns in another order", "items", _reordered, BY_NAME),
    file_fault("order", "One file of relations has user and friend exchanged", "relations", _reordered, BY_NAME),
    file_fault("case", "The header of one file has capitals", "behaviours", _renamed("user_id", "User_ID"), BY_NAME),
    file_fault("added", "One file has a column more", "behaviours", _with, OTHER),
    file_fault("missing", "One file lacks a column", "items", _without("brand"), OTHER),
    file_fault("renamed", "One file calls a column by another name", "behaviours", _renamed("event", "kind"), OTHER),
    file_fault("no-header", "One file has no header", "behaviours", _no_header, BY_FILE),
    file_fault("no-header", "One file of items has no header", "items", _no_header, BY_FILE),
    file_fault("separator", "One file has semicolons", "behaviours", lambda r: csv_text(r, delimiter=";"), BY_FILE),
    file_fault(
        "quoted-header", "One file has its header and cells in quotes", "users", lambda r: csv_text(r, quoting=1), RIGHT
    ),
    file_fault(
        "windows", "One file has the line ends of Windows", "items", lambda r: csv_text(r, lineterminator="\r\n"), RIGHT
    ),
    file_fault("bom", "One file begins with a byte order mark", "behaviours", lambda r: "\ufeff" + csv_text(r), RIGHT),
    file_fault("no-end", "One file does not end its last line", "items", lambda r: csv_text(r).rstrip("\n"), RIGHT),
    file_fault(
        "added-allowed",
        "One file has a column more, and `columns_may_differ` is set",
        "behaviours",
        _with,
        BY_NAME,
        more={"columns_may_differ": True},
    ),
    litter(
        "readme", "README.txt lies in the folder", "README.txt", FOREIGN, Refused(("README.txt", "sources.behaviours"))
    ),
    litter(
        "backup",
        "A copy ending in .bak lies in the folder",
        "part-1.csv.bak",
        "user_id,item_id,event,ts,value\n",
        Refused(("part-1.csv.bak",)),
    ),
    litter(
        "backup-copy",
        "A copy ending in ~ lies in the folder",
        "part-1.csv~",
        "user_id,item_id,event,ts,value\n",
        Refused(("part-1.csv~",)),
    ),
    litter(
        "other-table",
        "A file of another table lies in the folder",
        "prices.csv",
        "sku,price\na,1\n",
        Refused(("prices.csv",)),
    ),
    litter("picture", "A zip file lies in the folder", "part-9.zip", ZIP, Refused(("part-9.zip",))),
    litter("zip-csv", "A zip file called .csv lies in the folder", "part-9.csv", ZIP, Refused(("part-9.csv",))),
    litter("json", "A JSON file lies in the folder", "schema.json", '{"a": 1}\n', Refused(("schema.json",))),
    litter("hidden", "Files that begin with _ or . lie in the folder", "_SUCCESS", "", RIGHT),
    litter("crc", "A checksum of Hadoop lies in the folder", ".part-0.csv.crc", "crc\0", RIGHT),
    litter("empty", "An empty file lies in the folder", "part-9.csv", "", RIGHT),
    litter(
        "header-only",
        "A file of a header alone lies in the folder",
        "part-9.csv",
        "user_id,item_id,event,ts,value\n",
        RIGHT,
    ),
    whole("no-header-at-all", "No file has a header", _all_without_header, Refused(("sources.behaviours", "header"))),
    whole("semicolons", "All files have semicolons", _separated(";"), SEP),
    whole("tabs", "All files have tabs", _separated("\t"), SEP),
    whole("preamble", "A line of words stands before the header", _preamble, Refused(("sources.behaviours",))),
    whole("column-twice", "The header names a column twice", _twice, Refused(("sources.behaviours", "user_id"))),
    *(
        whole(
            f"infer {ids[0]}",
            f"`inferSchema` is set and ids look like {what}: {', '.join(f'`{each}`' for each in ids)}",
            _inferred(*ids),
            Read("ids stay text"),
            alone=True,
        )
        for what, ids in (
            ("numbers", ("00017", "17", "017")),
            ("powers", ("1e5", "100000", "1.50")),
            ("dates", ("2024-01-01", "2024-02-01")),
            ("times", ("2024-01-01 00:00:00", "2024-01-01T00:00:00Z")),
            ("booleans", ("true", "TRUE", "false")),
        )
    ),
    whole("gz", "Files are compressed", _gz, RIGHT),
    whole("gz-cut", "A compressed file is cut off", _gz_cut, BY_FILE, spreads=FILES),
    whole("gz-not", "A file called .gz is not compressed", _gz_not, BY_FILE, spreads=FILES[1:2]),
    whole("folder-empty", "The folder is empty", _empty_folder, Refused(("sources.behaviours", "no data"))),
    whole("folder-hidden", "The folder holds _SUCCESS alone", _only_hidden, Refused(("sources.behaviours", "no data"))),
)
