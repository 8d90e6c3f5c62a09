"""Parquet and ORC files that differ from one another, are cut off, or have types that Spark does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.slow.dirt.fault import FILES, THIRD, Cells, Fault, Outcome, Read, Refused, Rejected, Work
from tests.slow.dirt.files import arrow, folder, parts, put
from tests.slow.dirt.shop import Row

RIGHT = Read()
Change = Callable[[pa.Table], pa.Table]


def part_fault(name: str, says: str, change: Change | None, outcome: Outcome, **how: Any) -> Fault:
    """Return the fault of one file of a folder; ``tail`` cuts it off, ``instead`` replaces it."""
    forms = how.get("formats", ("parquet",))

    def make(work: Work) -> Mapping[str, Any]:
        made = [arrow(rows) for rows in parts(work)]
        made = [how["all"](table) for table in made] if "all" in how else made
        if change is not None:
            made[work.file] = change(made[work.file])
        place = folder(work, made)
        spoilt = place / f"part-{work.file}.{work.format}"
        if "tail" in how:
            spoilt.write_bytes(spoilt.read_bytes()[: -how["tail"]])
        if "instead" in how:
            spoilt.write_bytes(how["instead"])
        work.columns |= how.get("columns", {})
        return work.source(place, **({"options": how["options"]} if "options" in how else {}))

    return Fault(name, says, how.get("table", "behaviours"), make, outcome, how.get("spreads", FILES), formats=forms)


def litter(name: str, says: str, file: str, content: bytes, outcome: Outcome) -> Fault:
    """Return the fault of a foreign file in a folder of Parquet files."""

    def make(work: Work) -> Mapping[str, Any]:
        place = folder(work, [arrow(rows) for rows in parts(work)])
        put(place / file, content)
        return work.source(place)

    return Fault(name, says, "behaviours", make, outcome, formats=("parquet",))


def _cast(name: str, kind: pa.DataType, values: Callable[[list[Any]], list[Any]] = list) -> Change:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        return table.set_column(at, name, pa.array(values(table[name].to_pylist()), kind))

    return change


def _numbers(values: list[Any]) -> list[Any]:
    return list(range(len(values)))


def _floats(values: list[Any]) -> list[Any]:
    return [float(value) for value in values]


def _moments(values: list[Any]) -> list[Any]:
    import datetime

    return [datetime.datetime.fromisoformat(value) for value in values]


def _times(name: str, kind: pa.DataType, outcome: Outcome, says: str, **written: Any) -> Fault:
    """Return the fault of times of an unusual type in all files."""

    def make(work: Work) -> Mapping[str, Any]:
        table = _cast("ts", kind, _moments)(arrow(work.cells()))
        path = put(work.folder / f"rows.{work.format}", table)
        if work.format == "parquet":
            pq.write_table(table, path, **written)
        return work.source(path)

    forms = ("orc",) if name.startswith("orc") else ("parquet",)
    return Fault(name, says, "behaviours", make, outcome, formats=forms)


def _whole(
    name: str, says: str, change: Change, outcome: Outcome, rows: Callable[[Row, Cells], None] | None = None, **how: Any
) -> Fault:
    def make(work: Work) -> Mapping[str, Any]:
        table = change(arrow(work.cells()))
        if rows:
            for row, cells in zip(work.rows, table.to_pylist(), strict=True):
                rows(row, cells)
        return work.source(put(work.folder / f"rows.{work.format}", table))

    return Fault(name, says, "behaviours", make, outcome, formats=("parquet",), **how)


def _bad_utf8(work: Work) -> Mapping[str, Any]:
    table = arrow(work.cells())
    ids = [value.encode() for value in table["user_id"].to_pylist()]
    for n in work.chosen:
        ids[n] += b"\xe9"
        work.lost[n] = [work.rows[n]["item_id"]]
    binary = pa.array(ids, pa.binary())
    text = pa.StringArray.from_buffers(len(ids), *binary.buffers()[1:])
    return work.source(put(work.folder / "rows.parquet", table.set_column(0, "user_id", text)), "parquet")


def _no_rows(work: Work) -> Mapping[str, Any]:
    tables = [arrow(rows) for rows in parts(work)]
    return work.source(folder(work, [tables[0].slice(0, 0), *tables]))


def _own(row: Row, cells: Cells) -> None:
    row["user_id"] = str(cells["user_id"])


def _drop(name: str) -> Change:
    return lambda table: table.drop_columns([name])


def _rename(old: str, new: str) -> Change:
    return lambda table: table.rename_columns([new if name == old else name for name in table.column_names])


TYPES = Refused(("sources.behaviours", "{file}", "user_id", "bigint", "string"))
CUT = Refused(("sources.behaviours", "{file}"))
MERGE = {"mergeSchema": "true"}
BOTH = ("parquet", "orc", "parquet")
FAULTS = (
    part_fault("types", "One file has numbers for text ids", _cast("user_id", pa.int64(), _numbers), TYPES),
    part_fault(
        "types-ts",
        "One file has times where others have text",
        _cast("ts", pa.timestamp("us"), _moments),
        Refused(("sources.behaviours", "{file}", "ts", "timestamp")),
    ),
    part_fault(
        "types-value",
        "One file has text where others have numbers",
        _cast("value", pa.string(), lambda values: [str(value) for value in values]),
        Refused(("sources.behaviours", "{file}", "value", "double")),
        all=_cast("value", pa.float64(), _floats),
        spreads=(),
    ),
    part_fault(
        "types-orc",
        "One file has numbers for text ids",
        _cast("user_id", pa.int64(), _numbers),
        Refused(("sources.behaviours", "{file}", "user_id")),
        formats=("orc",),
    ),
    part_fault(
        "added",
        "One file lacks the column `value`",
        _drop("value"),
        Refused(("sources.behaviours", "value", "mergeSchema")),
    ),
    part_fault(
        "added-merge", "One file lacks a column nobody maps", lambda t: t.append_column("shop", [["s"] * len(t)]), RIGHT
    ),
    part_fault("cut", "One file is cut off", None, CUT, tail=50, formats=BOTH),
    part_fault("zero", "One file has no bytes", None, CUT, instead=b""),
    part_fault("not-parquet", "One file is CSV and called .parquet", None, CUT, instead=b"user_id,item_id\na,b\n"),
    part_fault(
        "order",
        "One file has its columns in another order",
        lambda t: t.select(list(reversed(t.column_names))),
        Read("columns are read by name"),
        formats=BOTH,
    ),
    part_fault(
        "capitals",
        "One file has a column in capitals",
        _rename("user_id", "User_ID"),
        Read("columns are read by name"),
        spreads=FILES[1:2],
    ),
    Fault("no-rows", "One file has columns and no rows", "relations", _no_rows, RIGHT, formats=("parquet", "orc")),
    litter("readme", "README.txt lies in the folder", "README.txt", b"ask anna\n", Refused(("README.txt",))),
    litter("csv", "A CSV file lies in the folder", "old.csv", b"a,b\n1,2\n", Refused(("old.csv",))),
    litter("hidden", "_SUCCESS and metadata lie in the folder", "_SUCCESS", b"", RIGHT),
    _times("nanos", pa.timestamp("ns"), RIGHT, "Times are in nanoseconds, as pandas writes them", version="2.6"),
    _times("nanos-utc", pa.timestamp("ns", "UTC"), RIGHT, "Times are in nanoseconds with a zone", version="2.6"),
    _times("millis", pa.timestamp("ms"), RIGHT, "Times are in milliseconds"),
    _times("int96", pa.timestamp("ns"), RIGHT, "Times are INT96", use_deprecated_int96_timestamps=True),
    _times("orc-nanos", pa.timestamp("ns"), RIGHT, "Times are in nanoseconds"),
    _whole(
        "uint64",
        "Ids are unsigned numbers",
        _cast("user_id", pa.uint64(), _numbers),
        Read("ids are their digits"),
        _own,
        alone=True,
    ),
    _whole(
        "decimal",
        "Ids are decimals without a fraction",
        _cast("user_id", pa.decimal128(20, 0), _numbers),
        Read("ids are their digits"),
        _own,
        alone=True,
    ),
    _whole(
        "float",
        "Ids are numbers with a fraction",
        _cast("user_id", pa.float64(), _numbers),
        Refused(("sources.behaviours", "user_id")),
    ),
    _whole(
        "binary",
        "Ids are bytes",
        _cast("user_id", pa.binary(), lambda v: [x.encode() for x in v]),
        Refused(("sources.behaviours", "user_id")),
    ),
    _whole(
        "dictionary",
        "Ids are dictionary encoded",
        lambda t: t.set_column(0, "user_id", t["user_id"].dictionary_encode()),
        RIGHT,
    ),
    _whole(
        "large",
        "Ids are large strings",
        lambda t: t.set_column(0, "user_id", t["user_id"].cast(pa.large_string())),
        RIGHT,
    ),
    _whole(
        "null",
        "A column has no type",
        _cast("value", pa.null(), lambda v: [None] * len(v)),
        Read("the values are null"),
        lambda row, _: row.update(value=None),
    ),
    _whole(
        "clock",
        "A column nobody maps has a type Spark does not know",
        lambda t: t.append_column("at", pa.array([3] * len(t), pa.time64("ns"))),
        RIGHT,
    ),
    Fault(
        "utf8", "Ids are not UTF-8", "behaviours", _bad_utf8, Rejected("bad_encoding"), (THIRD,), formats=("parquet",)
    ),
)
