"""The encoding benchmark's chart: tokens per second, a panel for each case of kernel and stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import charts
from benchmarks.common.charts import OTHER, OWN, Bar, Panel, draw_bars
from benchmarks.common.ledger import Row, of
from benchmarks.encode.rows import LIMIT, OURS, RIVAL, UDF_RIVAL, cases, title, tokens_per_s

SHORT = {LIMIT: "limit: products alone", RIVAL: "SentenceTransformer", UDF_RIVAL: "predict_batch_udf"}


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """Draw encode.png."""
    columns = [[panel(case) for case in cases(of(rows, part))] for part in ("kernel", "stage")]
    draw_bars(folder / "encode.png", columns, "tokens per second (more is better)", "{:,.0f}")


def panel(case: dict[str, Row]) -> Panel:
    """Return a panel with a bar for each method that encodes."""
    shown = [row for row in case.values() if row["method"] in SHORT or is_ours(row)]
    return Panel(f"{shown[0]['what']}: {title(shown[0])}", [bar(row) for row in shown])


def bar(row: Row) -> Bar:
    """Return the bar of a method."""
    colour = charts.LIMIT if row["method"] == LIMIT else OWN if is_ours(row) else OTHER
    return Bar(SHORT.get(row["method"], row["method"].replace("torch-", "")), tokens_per_s(row), colour)


def is_ours(row: Row) -> bool:
    """Return whether the method is ours."""
    return bool(row["method"].startswith(OURS))
