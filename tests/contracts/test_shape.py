"""The shape of the code: short functions, layout switched off for tables of numbers only, no folder with one file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("recsys_spark", "benchmarks", "jobs", "tests")
MAX_FUNCTION_LINES = 60
MEANINGLESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "core"}


def sources() -> list[Path]:
    return sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.name, lines


def unformatted(source: str) -> list[str]:
    """Lines that end a statement whose layout is switched off although it is not a table of numbers."""
    lines, found = source.split("\n"), []
    for node in ast.walk(ast.parse(source)):
        end = getattr(node, "end_lineno", None)
        if isinstance(node, ast.stmt) and end and re.search(r"#\s*fmt:\s*skip\s*$", lines[end - 1]):
            numbers = sum(isinstance(n, ast.Constant) and isinstance(n.value, (int, float)) for n in ast.walk(node))
            words = sum(isinstance(n, (ast.Constant, ast.Name)) for n in ast.walk(node)) - numbers
            if numbers < 2 * words:
                found.append(lines[end - 1])
    return found


def test_functions_are_short() -> None:
    found = {(str(f.relative_to(ROOT)), *long) for f in sources() for long in long_functions(f.read_text("utf-8"))}
    assert found == set()


def test_layout_is_switched_off_for_tables_of_numbers_only() -> None:
    assert {str(f.relative_to(ROOT)): u for f in sources() if (u := unformatted(f.read_text("utf-8")))} == {}


def test_no_folder_of_the_package_holds_one_file() -> None:
    folders = {f.parent for f in (ROOT / "recsys_spark").rglob("*.py")}
    alone = [
        str(folder.relative_to(ROOT))
        for folder in folders
        # A folder of folders is one as well: `model` has `inputs.py` and `kernels/`.
        if sum(1 for f in folder.iterdir() if f.name not in ("__init__.py", "__pycache__")) < 2
    ]
    assert alone == []


def test_names_of_the_package_say_something() -> None:
    parts = {part for f in (ROOT / "recsys_spark").rglob("*.py") for part in f.relative_to(ROOT).with_suffix("").parts}
    assert parts & MEANINGLESS == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n" + "    x = 1\n" * 60, 1),
        ("def f():\n" + "    x = 1\n" * 59, 0),
        ("def f():\n    def g():\n" + "        x = 1\n" * 60, 2),
    ],
)
def test_a_long_function_is_noticed(source: str, expected: int) -> None:
    assert len(list(long_functions(source))) == expected


def test_a_list_of_words_without_layout_is_noticed() -> None:
    assert unformatted('NAMES = (\n    "a", "b",\n)  # fmt: skip')
    assert not unformatted("TABLE = (\n    (1, 2, 3),\n    (4, 5, 6),\n)  # fmt: skip")
