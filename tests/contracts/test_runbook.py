"""The runbook explains what the job can end with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recsys_spark.errors import RecsysError

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")


def every(kind: type[RecsysError]) -> Iterator[type[RecsysError]]:
    for below in kind.__subclasses__():
        yield below
        yield from every(below)


def test_every_exit_status_is_explained() -> None:
    rows = {error.__name__: f"| {error.exit_code} | `{error.__name__}` |" for error in every(RecsysError)}
    assert [name for name, row in rows.items() if row not in RUNBOOK] == []
