"""Writes docs/tables.md and docs/configuration.md from tables.py and config.py; `make docs` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recsys_spark.config import Config, Join, Source
from recsys_spark.tables import CONTRACT, STORED, Table

FOLDER = Path(__file__).parent
GENERATED = "<!-- Written by `make docs`; change the code, not this file. -->"


def tables_page() -> str:
    """The page about every table: key, columns, types and meaning."""
    parts = [
        f"# Tables\n\n{GENERATED}\n",
        "## Input contract\n\nWhat the `[sources]` of a configuration are mapped onto. "
        "Columns that may be null may also be left out of a mapping.\n",
        *(table_section(table) for table in CONTRACT.values()),
        "## Inside the store\n\nWhat the stages write, as Parquet. `recommendations` is the result.\n",
        *(table_section(table) for table in STORED if table.name not in CONTRACT),
    ]
    return "\n".join(parts)


def table_section(table: Table) -> str:
    """One table as a heading and a grid of its columns."""
    key = f" Key: {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    rows = [
        f"| `{c.name}` | `{cell(c.type.simpleString())}` | {'yes' if c.nullable else 'no'} | {cell(c.doc)} |"
        for c in table.columns
    ]
    grid = "\n".join(["| column | type | null? | meaning |", "|---|---|---|---|", *rows])
    return f"### {table.name}\n\n{table.doc}{key}\n\n{grid}\n"


def configuration_page() -> str:
    """The page about every configuration key: type, default and meaning."""
    parts = [
        f"# Configuration\n\n{GENERATED}\n",
        "One TOML file is one job. `${NAME}` takes an environment variable, relative paths start at the file's folder, "
        "an unknown key is an error that names the nearest valid one, and `--set section.key=value` overrides one key.\n",
    ]
    for name, field in Config.model_fields.items():
        kind = field.annotation
        section = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        parts.append(f"## {name}\n\n{field.description}\n")
        if section is not None:
            parts.append(section_grid(section))
    parts.append(f"## One source\n\n{first_line(Source)}\n\n{section_grid(Source)}")
    own = {name: field for name, field in Join.model_fields.items() if name not in Source.model_fields}
    parts.append(f"### join\n\n{first_line(Join)} Takes the keys of a source, and:\n\n{grid_of(own)}")
    return "\n".join(parts)


def section_grid(section: type[BaseModel]) -> str:
    """The keys of one section."""
    return grid_of(section.model_fields)


def grid_of(fields: dict[str, FieldInfo]) -> str:
    """Fields as a grid: key, type, default, meaning."""
    rows = [
        f"| `{name}` | `{cell(type_of(field))}` | {default_of(field)} | {cell(field.description or '')} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def first_line(kind: type) -> str:
    """First line of a docstring."""
    return (kind.__doc__ or "").strip().splitlines()[0]


def type_of(field: FieldInfo) -> str:
    """A type as a reader of TOML would say it, with its limits."""
    limits = [
        f"{sign} {getattr(m, name)}"
        for m in field.metadata
        for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
        if getattr(m, name, None) is not None
    ]
    return ", ".join([spoken(field.annotation), *limits])


def spoken(kind: Any) -> str:
    """`Annotated[...]`, module names and forward references taken off an annotation."""
    if hasattr(kind, "__metadata__"):
        return spoken(kind.__origin__)
    arguments = getattr(kind, "__args__", None)
    if arguments is None:
        return "none" if kind in (None, type(None)) else str(getattr(kind, "__name__", kind))
    name = str(getattr(kind, "__name__", kind))
    if name == "Literal":
        return " or ".join(f'"{a}"' for a in arguments)
    if "Union" in name or "Union" in type(kind).__name__:
        return " or ".join(spoken(a) for a in arguments if a is not type(None))
    return f"{name} of {', '.join(spoken(a) for a in arguments)}"


def default_of(field: FieldInfo) -> str:
    """The default as it would be written in TOML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else cell(repr(value))}`"


def cell(text: str) -> str:
    """Text that may stand in a grid."""
    return text.replace("|", "\\|").replace("\n", " ")


PAGES = {"tables.md": tables_page, "configuration.md": configuration_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(f"wrote {FOLDER / name}")
