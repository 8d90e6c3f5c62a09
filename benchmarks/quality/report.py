"""The quality benchmark's report and charts, from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.charts import draw_bars
from benchmarks.common.ledger import Ledger, Row, of
from benchmarks.common.suite import document
from benchmarks.quality.curves import CHART as CURVES
from benchmarks.quality.curves import choices_table, draw_curves
from benchmarks.quality.figures import differences_table, figures_table, ndcg_panel
from benchmarks.quality.metrics import SEGMENTS, K
from benchmarks.quality.readers import READERS
from benchmarks.quality.reliability import CHART as RELIABILITY
from benchmarks.quality.reliability import calibration_table, draw_reliability
from benchmarks.quality.rows import FIGURE, Ids, replaced
from benchmarks.quality.texts import CACHE
from benchmarks.quality.tiny import TINY

NAME = "quality"
LEDGER = Ledger(NAME, (*READERS, TINY))
TABLES = (figures_table, differences_table, choices_table, calibration_table)
"""Each from the rows of one data set and protocol to Markdown"""
PROTOCOLS = {
    "time": "global time split: train before the time of the interaction at 90%, truth after it",
    "last": "leave last out: each user's last item",
    "hash": "leave one out by hash: the data have no order",
    "users": "all rows of every tenth user hidden: known by tags and friends only",
}
LEAD = (
    f"Full catalogue, no sampled negatives, seen items removed, ties by item id; recall@{K} = hits / min({K}, truth), "
    f"ndcg@{K}; 95% intervals of a Poisson bootstrap over users. Rivals are tuned on a slice cut out of train as the "
    "test is cut out of all; `ours` is the default configuration, and `ours:...` changes what it names. "
    "Cells are recall / ndcg."
)


def keep(folder: Path, dataset: str, protocol: str, rows: Sequence[Row], user_ids: Ids, cache: Path = CACHE) -> None:
    """Replace the rows of one method as :func:`replaced` does, and write the report."""
    old = of(LEDGER.load(folder), dataset)
    write_results(folder, LEDGER.save(folder, dataset, replaced(old, protocol, rows, user_ids, cache)))


def write_stored(folder: Path) -> None:
    """Write the report and the charts from the rows that are stored."""
    write_results(folder, LEDGER.load(folder))


def write_results(folder: Path, rows: Sequence[Row]) -> None:
    """Write quality.md, quality.png, calibration.png and curves.png."""
    (folder / f"{NAME}.md").write_text(report(rows))
    draw(folder / f"{NAME}.png", rows)
    draw_reliability(folder / RELIABILITY, rows)
    draw_curves(folder / CURVES, rows)


def report(rows: Sequence[Row]) -> str:
    """Return Markdown: what the segments are, then the tables of each data set and protocol."""
    lines = [
        *(f"- *{name}*: {meaning}." for name, meaning in SEGMENTS.items()),
        "",
        "A method that knows nothing of a user gives what is popular. An id-only method ranks cold items by their ids.",
        "",
    ]
    for dataset, protocol, some in panels(rows):
        lines += [f"## {dataset}, {PROTOCOLS[protocol]}", ""]
        for lines_of in TABLES:
            lines += lines_of(some)
    return document(NAME, "Quality of the lists, ours next to the rivals'", rows, LEAD, lines)


def panels(rows: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    """Return the rows by data set and protocol, the main protocol first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["part"], row["protocol"]), []).append(row)
    datasets, protocols = list(LEDGER.parts), list(PROTOCOLS)
    order = sorted(found, key=lambda key: (datasets.index(key[0]), protocols.index(key[1])))
    return [(*key, found[key]) for key in order]


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Draw bars of ndcg with their intervals, a panel for each data set and protocol, in two columns."""
    shown = [ndcg_panel(*panel) for panel in panels([row for row in rows if row["kind"] == FIGURE])]
    draw_bars(path, [shown[::2], shown[1::2]])
