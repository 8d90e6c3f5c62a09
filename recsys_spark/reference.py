"""Reference pages from the code: ``python -m recsys_spark.reference`` writes docs/configuration.md and
docs/tables.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recsys_spark.config.base import Section
from recsys_spark.config.sections import Config
from recsys_spark.config.sources import Join, Source
from recsys_spark.contract import CONTRACT
from recsys_spark.schema import Table
from recsys_spark.tables import REASONS, REJECTED_ROWS, STORED

DOCS = Path(__file__).resolve().parent.parent / "docs"
WRITTEN = "<!-- Written by `python -m recsys_spark.reference`. Edit recsys_spark/{module} instead. -->"
CONFIGURATION_INTRO = """# Configuration

One TOML file configures one job. Each section below lists its keys with type, default and meaning. A key without a
default must be given. An unknown key is an error that names the nearest valid key. `--set section.key=value` replaces
one value of the file. The file is UTF-8, with or without a byte order mark.

## Addresses

`run.store`, `path`, `encoder.model` and the addresses of `[mlflow]` are read by the same rules, and so are the options
of the command line that name a file or folder. An address that would mean something else is refused before anything is
written, with status 2.

- `/data/shop`: a path on Spark's default file system: this machine's disk, unless `spark.hadoop.fs.defaultFS` is set.
- `shop`, `./shop`, `../shop`: a path relative to the configuration file, or to the working directory in an option.
- `~/shop`, `~ann/shop`: a path in the home folder, on the driver's machine.
- `${NAME}/shop`: the value of an environment variable of the driver; it must be set, and not be empty.
- `file:/data/shop`, `file:///data/shop`: a path on the disk of each machine.
- `hdfs:/shop`, `hdfs://HOST/shop`, `dbfs:/shop`: an address of a file system that Spark has a client for.
- `s3a://BUCKET/shop`, `gs://BUCKET/shop`: an address of an object store; the bucket is needed.
- `data/*.csv`, `{a,b}`, `[0-9]`, `?`: a pattern, in the `path` of a source only; `\\[` is the character itself.
- `$NAME`, `%NAME%`, `C:\\data`, `//server/share`, `hdfs:shop`: refused.
- blanks at either end, control characters: refused.
- `[ ] { } * ?` or a colon in a folder of the store: refused, because Spark could not find it again.

Every other character stands for itself: `%20` is three characters, not a blank. A source file whose name begins with
`_` or a dot is refused, because Spark ignores such files. In cluster deploy mode a relative path has no meaning: write
whole paths or addresses. Values under `[spark]` go to Spark as they are; there a relative path starts at the working
directory.
"""
TABLES_INTRO = """# Tables

Every table that the job reads or writes. A key is unique within one run. Timestamps are instants and are shown in UTC.
"""


def configuration_markdown() -> str:
    """Return docs/configuration.md: a table of keys for each section of the configuration."""
    sections: list[str] = []
    for name, field in Config.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            sections.append(_section_markdown(f"[{name}]", kind))
        else:
            sections.append(f"## `[{name}]`\n\n{field.description} Type: {_type_text(kind)}.\n")
        if name == "sources":
            sections.append(_section_markdown("[sources.NAME]", Source))
            join_fields = {key: info for key, info in Join.model_fields.items() if key not in Source.model_fields}
            sections.append(
                _keys_markdown(
                    "[[sources.NAME.join]]", f"{_doc(Join)} It has all keys of `[sources.NAME]`, and:", join_fields
                )
            )
    return "\n".join([WRITTEN.format(module="config"), "", CONFIGURATION_INTRO, *sections])


def tables_markdown() -> str:
    """Return docs/tables.md: columns, key and meaning of every table."""
    parts = [WRITTEN.format(module="contract.py and recsys_spark/tables.py"), "", TABLES_INTRO]
    parts += ["## Input: the contract tables, which `[sources]` maps your tables onto\n"]
    parts += [_table_markdown(entry.table) for entry in CONTRACT.values()]
    parts += ["## Tables of the store\n"]
    # Items, users, relations and lists keep the columns of the contract, and are described there.
    for table in STORED:
        parts += [_table_markdown(table)] if table.name not in CONTRACT else []
        parts += [_reasons_markdown()] if table is REJECTED_ROWS else []
    return "\n".join(parts)


def main() -> None:
    """Write the pages into the docs folder of the checkout."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the content of every generated page by file name."""
    return {"configuration.md": configuration_markdown(), "tables.md": tables_markdown()}


def _section_markdown(title: str, section: type[Section]) -> str:
    return _keys_markdown(title, _doc(section), section.model_fields)


def _keys_markdown(title: str, doc: str, fields: Mapping[str, FieldInfo]) -> str:
    lines = [f"## `{title}`\n", f"{doc}\n", "| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in fields.items():
        default = "required" if field.is_required() else f"`{_default_text(field)}`"
        kind = _type_text(field.annotation, field.metadata)
        lines.append(_row(f"`{key}`", kind, default, field.description or ""))
    return "\n".join([*lines, ""])


def _table_markdown(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key) or "none"
    lines = [
        f"### `{table.name}`\n",
        f"{table.doc} Key: {key}.\n",
        "| column | type | null | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        _row(f"`{c.name}`", f"`{c.type.simpleString()}`", "yes" if c.nullable else "no", c.doc) for c in table.columns
    ]
    return "\n".join([*lines, ""])


def _reasons_markdown() -> str:
    return "\n".join(["Reasons:\n", *(f"- `{reason}`: {meaning}" for reason, meaning in REASONS.items()), ""])


def _row(*cells: str) -> str:
    # A bar ends a cell even inside code, unless it is escaped.
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _doc(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split())


def _default_text(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _type_text(kind: Any, metadata: Any = ()) -> str:
    """Return a type in words, with its bounds: `int, at least 1`, `"a" or "b"`, `list of strings`."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_text(args[0], [m for found in args[1:] for m in (getattr(found, "metadata", None) or [found])])
    if origin is Literal:
        text = " or ".join(f"`{json.dumps(choice)}`" for choice in args)
    elif origin in (Union, UnionType):
        text = " or ".join(_type_text(arg) for arg in args if arg is not NoneType)
    elif origin is list:
        text = f"list of {_type_text(args[0])}".replace("string", "strings").replace("section", "sections")
    elif origin is dict:
        text = f"table of name = {_type_text(args[1])}"
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        text = "section"
    else:
        text = {str: "string", int: "int", float: "number", bool: "bool"}[kind]
    return ", ".join([text, *_bounds(metadata)])


def _bounds(metadata: Any) -> list[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return [f"{words[name]} {getattr(m, name):,}" for m in metadata for name in words if hasattr(m, name)]


if __name__ == "__main__":
    main()
