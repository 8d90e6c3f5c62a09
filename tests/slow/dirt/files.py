"""Writers of source files: CSV, JSON, Parquet, ORC, text; in one file or in a folder of three."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from tests.slow.dirt.fault import N_FILES, Cells, Work


def csv_text(
    rows: Sequence[Cells], header: Sequence[str] | None = None, *, with_header: bool = True, **how: str
) -> str:
    """Return rows as pandas and Excel write them: quotes where needed, quotes inside doubled."""
    names = list(header or rows[0])
    out = io.StringIO()
    writer = csv.writer(out, **{"lineterminator": "\n", **how})  # type: ignore[arg-type]
    writer.writerows([names] if with_header else [])
    writer.writerows([[row[name] for name in names] for row in rows])
    return out.getvalue()


def json_text(rows: Sequence[Cells]) -> str:
    """Return rows as JSON lines; an absent cell has no key."""
    present = ({name: cell for name, cell in row.items() if cell is not None} for row in rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in present)


def arrow(rows: Sequence[Cells]) -> pa.Table:
    """Return rows as an Arrow table of strings."""
    return pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]})


def put(path: Path, content: str | bytes | pa.Table) -> Path:
    """Write a file: text in UTF-8, bytes as they are, an Arrow table as Parquet or ORC by its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table):
        (orc.write_table if path.suffix == ".orc" else pq.write_table)(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def content(rows: Sequence[Cells], form: str) -> str | pa.Table:
    """Return rows in a format."""
    return {"csv": csv_text, "json": json_text}.get(form, arrow)(rows)


def one_file(work: Work, rows: Sequence[Cells] | None = None) -> Path:
    """Write the rows into one file of the work's format and return it."""
    return put(work.folder / f"rows.{work.format}", content(rows or work.cells(), work.format))


def parts(work: Work, rows: Sequence[Cells] | None = None) -> list[list[Cells]]:
    """Return the rows in as many parts as a folder has files."""
    rows = list(rows or work.cells())
    size = -(-len(rows) // N_FILES)
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def folder(work: Work, contents: Sequence[str | bytes | pa.Table], ending: str | None = None) -> Path:
    """Write one file per content into a folder and return the folder."""
    place = work.folder / "parts"
    for number, each in enumerate(contents):
        put(place / f"part-{number}.{ending or work.format}", each)
    return place
