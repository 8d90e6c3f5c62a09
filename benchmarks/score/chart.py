"""The scoring benchmark's chart: CPU time per pair, a panel for each case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.charts import OTHER, OWN, Bar, Panel, draw_bars
from benchmarks.common.ledger import Row, of
from benchmarks.common.tables import size
from benchmarks.score.rows import OURS

CHARTED = ("kernel", "stage", "joins", "growth", "cores", "broadcast")


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """Draw score.png; parts that measure something else than time have no panel."""
    panels = [panel(title, mine) for title, mine in cases(rows).items()]
    draw_bars(folder / "score.png", [panels], "CPU ns per user x item pair (less is better)", "%.1f")


def cases(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each panel, by its title.

    >>> joins = {"part": "joins", "what": "Spark's joins", "items": 2_000, "n": 10}
    >>> list(cases([joins, {"part": "memory", "what": "m"}]))
    ["Spark's joins, 2,000 items, N = 10"]
    """
    panels: dict[str, list[Row]] = {}
    for row in of(rows, *CHARTED):
        is_growth = row["part"] == "growth"
        title = row["what"] if is_growth else f"{row['what']}, {row['items']:,} items, N = {row['n']}"
        panels.setdefault(title, []).append(row)
    return panels


def panel(title: str, rows: Sequence[Row]) -> Panel:
    """Return a panel with a bar for each row."""
    part = rows[0]["part"]
    bars = []
    for row in rows:
        label = size(row) if part == "growth" else row["method"].removesuffix(" (cosine only)")
        is_ours = part in ("growth", "cores") or row["method"].startswith(OURS)
        bars.append(Bar(label.replace(", ", ",\n", 1), row["ns_per_pair"], OWN if is_ours else OTHER))
    # Hundreds of times apart: on a straight axis ours could not be seen.
    return Panel(title, bars, log=part == "joins")
