"""The quality benchmark's report and chart, from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.common.ledger import OTHER, OWN, Row, table
from benchmarks.quality.curves import CHART as CURVES
from benchmarks.quality.curves import choices_table, draw_curves
from benchmarks.quality.metrics import SEGMENTS, K
from benchmarks.quality.reliability import CHART as RELIABILITY
from benchmarks.quality.reliability import calibration_table, draw_reliability
from benchmarks.quality.results import DIFFERENCE, FIGURE, LEDGER, best_rival, is_ours, main_segment

PROTOCOLS = {
    "time": "global time split: train before the time of the interaction at 90%, truth after it",
    "last": "leave last out: each user's last item",
    "hash": "leave one out by hash: the data have no order",
    "users": "all rows of every tenth user hidden: known by tags and friends only",
}


def write_results(folder: Path, rows: Sequence[Row]) -> None:
    """quality.md, quality.png, calibration.png and curves.png in ``folder``."""
    lines = [
        "# Quality of the lists, ours beside the rivals'",
        "",
        f"`make bench-quality` on {LEDGER.measured_on(rows)}. Full catalogue, no sampled negatives, seen items removed, ties by item id; "
        f"recall@{K} = hits / min({K}, truth), ndcg@{K}; 95% intervals of a Poisson bootstrap over users. Rivals are tuned on a slice "
        "cut out of train as the test is cut out of all; `ours` is the default configuration, and `ours:...` changes what it names. Cells are recall / ndcg.",
        "",
        *(f"- *{name}*: {meaning}." for name, meaning in SEGMENTS.items()),
        "",
        "A method that knows nothing of a user gives what is popular. An id-only method ranks cold items by their ids.",
        "",
    ]
    for part, protocol, some in panels(rows):
        lines += [f"## {part}, {PROTOCOLS[protocol]}", ""]
        lines += [*figures_table(some), *differences_table(some), *choices_table(some), *calibration_table(some)]
    (folder / "quality.md").write_text("\n".join(lines).rstrip() + "\n")
    draw(folder / "quality.png", rows)
    draw_reliability(folder / RELIABILITY, rows)
    draw_curves(folder / CURVES, rows)


def panels(rows: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    """The rows by data set and protocol, the main protocol first."""
    keys = dict.fromkeys(
        (row["part"], protocol) for protocol in PROTOCOLS for row in rows if row["protocol"] == protocol
    )
    order = {part: number for number, part in enumerate(LEDGER.parts)}
    return [
        (part, protocol, [row for row in rows if (row["part"], row["protocol"]) == (part, protocol)])
        for part, protocol in sorted(keys, key=lambda key: order[key[0]])
    ]


def figures_table(rows: Sequence[Row]) -> list[str]:
    """A line for each method, best ndcg last, with the segments that have users."""
    figures = [row for row in rows if row["kind"] == FIGURE]
    segments = [name for name in SEGMENTS if any(row["segment"] == name for row in figures)]
    main = main_segment(figures)
    n_users = {row["segment"]: row["n_users"] for row in figures}
    head = ["method", f"{main} ({n_users[main]:,} users)", "interval of ndcg"]
    head += [f"{name} ({n_users[name]:,})" for name in segments if name != main]
    body = []
    for row in sorted((row for row in figures if row["segment"] == main), key=lambda row: float(row["ndcg"])):
        mine = {other["segment"]: other for other in figures if other["method"] == row["method"]}
        others = [both(mine[name]) if name in mine else "" for name in segments if name != main]
        body.append(
            [
                row["method"], both(row), f"{row['ndcg_low']:.4f} to {row['ndcg_high']:.4f}", *others,
                f"{row['tune_s']:.0f}", f"{row['fit_s']:.1f}", f"{row['fit_cpu_s']:.1f}", said(row["settings"], row.get("tried", ())),
            ]
        )  # fmt: skip
    return table([*head, "tuning, s", "fit, s", "fit, CPU-s", "settings"], body)


def differences_table(rows: Sequence[Row]) -> list[str]:
    """Ours minus the best rival of each segment, user by user; nothing where ours was not run."""
    body = []
    for segment in SEGMENTS:
        rival = best_rival(rows, segment)
        for row in rows:
            if row["kind"] == DIFFERENCE and (row["segment"], row["rival"]) == (segment, rival):
                cells = [
                    f"{row[name]:+.4f} ({row[f'{name}_low']:+.4f} to {row[f'{name}_high']:+.4f})"
                    for name in ("recall", "ndcg")
                ]
                shares = [relative(row[f"{name}_relative"]) for name in ("recall", "ndcg")]
                body.append([row["method"], segment, rival, cells[0], shares[0], cells[1], shares[1]])
    if not body:
        return []
    head = ["method", "segment", "best rival by ndcg"]
    for name in ("recall", "ndcg"):
        head += [f"{name}, paired difference", f"{name}, relative"]
    return table(head, body)


def relative(share: float | None) -> str:
    """A share of the rival's figure; empty where that is 0.

    >>> relative(0.2), relative(None)
    ('+20.0%', '')
    """
    return "" if share is None else f"{share:+.1%}"


def both(row: Row) -> str:
    """recall / ndcg.

    >>> both({"recall": 0.0651, "ndcg": 0.03794})
    '0.0651 / 0.0379'
    """
    return f"{row['recall']:.4f} / {row['ndcg']:.4f}"


def said(settings: dict[str, Any], tried: Sequence[tuple[dict[str, Any], float]] = ()) -> str:
    """Settings in words; a value that is the last of three or more that were ``tried``, so that a better one may lie beyond, is marked.

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


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Bars of ndcg with their intervals, a panel for each data set and protocol."""
    shown = panels([row for row in rows if row["kind"] == FIGURE])
    figure, axes = plt.subplots(
        -(-len(shown) // 2), 2, figsize=(11, 2.4 * -(-len(shown) // 2) + 0.4), layout="constrained", squeeze=False
    )
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for (part, protocol, some), axis in zip(shown, axes.flat, strict=False):
        main = main_segment(some)
        bars = sorted((row for row in some if row["segment"] == main), key=lambda row: float(row["ndcg"]))
        middle = [row["ndcg"] for row in bars]
        errors = [[row["ndcg"] - row["ndcg_low"] for row in bars], [row["ndcg_high"] - row["ndcg"] for row in bars]]
        colours = [OWN if is_ours(row["method"]) else OTHER for row in bars]
        axis.barh(range(len(bars)), middle, xerr=errors, color=colours, error_kw={"elinewidth": 1, "capsize": 2})
        axis.set_yticks(range(len(bars)), [row["method"] for row in bars])
        axis.set_title(f"{part}, {protocol}: ndcg@{K}, {main}", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
