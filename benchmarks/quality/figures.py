"""The figures of the quality benchmark as tables, and as a chart of ndcg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.common.charts import OTHER, OWN, Bar, Panel
from benchmarks.common.ledger import Row
from benchmarks.common.tables import shown, table
from benchmarks.quality.metrics import SEGMENTS, K
from benchmarks.quality.rows import DIFFERENCE, FIGURE, best_rival, is_ours, main_segment


def figures_table(rows: Sequence[Row]) -> list[str]:
    """Return a line for each method, best ndcg last, with the segments that have users."""
    figures = [row for row in rows if row["kind"] == FIGURE]
    segments = [name for name in SEGMENTS if any(row["segment"] == name for row in figures)]
    main = main_segment(figures)
    n_users = {row["segment"]: row["n_users"] for row in figures}
    columns: dict[str, Callable[[Row], object]] = {
        "method": shown("method"),
        f"{main} ({n_users[main]:,} users)": both,
        "interval of ndcg": lambda row: f"{row['ndcg_low']:.4f} to {row['ndcg_high']:.4f}",
    }
    columns |= {f"{name} ({n_users[name]:,})": partial(_of_segment, figures, name) for name in segments if name != main}
    columns |= {"tuning, s": shown("tune_s", ".0f"), "fit, s": shown("fit_s", ".1f")}
    columns |= {
        "fit, CPU-s": shown("fit_cpu_s", ".1f"),
        "settings": lambda row: said(row["settings"], row.get("tried", ())),
    }
    return table(
        sorted((row for row in figures if row["segment"] == main), key=lambda row: float(row["ndcg"])), columns
    )


def _of_segment(figures: Sequence[Row], segment: str, row: Row) -> str:
    """The method's figure in another segment; empty if it has none."""
    keys = (row["method"], segment)
    return next((both(other) for other in figures if (other["method"], other["segment"]) == keys), "")


DIFFERENCES: dict[str, Callable[[Row], object]] = {
    "method": shown("method"),
    "segment": shown("segment"),
    "best rival by ndcg": shown("rival"),
}


def _difference(name: str, row: Row) -> str:
    return f"{row[name]:+.4f} ({row[f'{name}_low']:+.4f} to {row[f'{name}_high']:+.4f})"


for _name in ("recall", "ndcg"):
    DIFFERENCES[f"{_name}, paired difference"] = partial(_difference, _name)
    DIFFERENCES[f"{_name}, relative"] = shown(f"{_name}_relative", "+.1%")


def differences_table(rows: Sequence[Row]) -> list[str]:
    """Return ours minus the best rival of each segment, user by user; nothing if ours was not run."""
    found = []
    for segment in SEGMENTS:
        keys = (DIFFERENCE, segment, best_rival(rows, segment))
        found += [row for row in rows if (row["kind"], row.get("segment"), row.get("rival")) == keys]
    return table(found, DIFFERENCES) if found else []


def both(row: Row) -> str:
    """Return recall / ndcg.

    >>> both({"recall": 0.0651, "ndcg": 0.03794})
    '0.0651 / 0.0379'
    """
    return f"{row['recall']:.4f} / {row['ndcg']:.4f}"


def said(settings: dict[str, Any], tried: Sequence[tuple[dict[str, Any], float]] = ()) -> str:
    """Return settings in words; a value at the end of three or more that were ``tried`` is marked.

    A better value may lie beyond it.

    >>> said({"neighbours": 200, "shrink": 0.0})
    'neighbours 200, shrink 0.0'
    >>> said({"lambda": 50.0}, [({"lambda": penalty}, 0.1) for penalty in (50.0, 200.0, 500.0)])
    'lambda 50.0 (end of its grid)'
    """
    values = {name: {each[name] for each, _ in tried if name in each} for name in settings}
    ends = {name for name, some in values.items() if len(some) > 2 and settings[name] in (min(some), max(some))}
    return ", ".join(
        f"{name} {value}{' (end of its grid)' if name in ends else ''}" for name, value in settings.items()
    )


def ndcg_panel(dataset: str, protocol: str, rows: Sequence[Row]) -> Panel:
    """Return a panel of one data set and protocol: a bar for each method, with its interval, best ndcg on top."""
    main = main_segment(rows)
    shown_rows = sorted((row for row in rows if row["segment"] == main), key=lambda row: -float(row["ndcg"]))
    bars = [
        Bar(row["method"], row["ndcg"], OWN if is_ours(row["method"]) else OTHER, (row["ndcg_low"], row["ndcg_high"]))
        for row in shown_rows
    ]
    return Panel(f"{dataset}, {protocol}: ndcg@{K}, {main}", bars)
