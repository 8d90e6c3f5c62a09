"""Every error that the job raises on purpose says where, what was found, what is expected and what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_spark import errors
from recsys_spark.errors import RecsysError

PACKAGE = Path(__file__).parents[2] / "recsys_spark"
OURS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RecsysError)}
PARTS = {"where", "found", "expected", "action"}


def lacking(source: str) -> Iterator[tuple[int, list[str]]]:
    """Line and missing parts of each incomplete call of an error; a call with ``**parts`` is not judged."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) in OURS:
            given = {keyword.arg for keyword in node.keywords}
            if None not in given and not given >= PARTS:
                yield node.lineno, sorted(PARTS - given)


def test_every_error_has_its_five_parts() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix(): list(lacking(file.read_text(encoding="utf-8")))
        for file in PACKAGE.rglob("*.py")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("call", ["DataError('x', where='y', found=0, expected=1)", "errors.StoreError('x')"])
def test_an_incomplete_error_is_noticed(call: str) -> None:
    assert list(lacking(f"raise {call}"))


def test_a_complete_error_and_other_errors_pass() -> None:
    complete = "raise DataError('x', where='y', found=0, expected=1, action='z')"
    assert not list(lacking(f"{complete}\nraise ValueError('x')\nraise DataError(**parts)"))
