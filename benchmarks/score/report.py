"""The scoring benchmark's report and chart, from the rows of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.common.ledger import Row
from benchmarks.score.results import LEDGER, PARTS, part_of
from benchmarks.score.tables import TABLES, size

CHARTED = ("kernel", "stage", "joins", "growth", "cores", "broadcast")


def write_results(folder: Path, rows: Sequence[Row]) -> None:
    """score.md and score.png in ``folder``."""
    lines = [
        "# Scoring, measured side by side",
        "",
        f"`make bench-score` on {LEDGER.measured_on(rows)}. Width 64 per term; CPU-seconds are those of all processes, medians of alternating runs.",
        "",
    ]
    for lines_of in TABLES:
        lines += lines_of(rows)
    (folder / "score.md").write_text("\n".join(lines).rstrip() + "\n")
    draw(folder / "score.png", rows)


def cases(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows that are one panel of the chart, by its title.

    >>> list(cases([{"part": "joins", "what": "Spark's joins", "items": 2_000, "n": 10}, {"part": "memory", "what": "m"}]))
    ["Spark's joins, 2,000 items, N = 10"]
    """
    panels: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: PARTS.index(part_of(row))):
        if part_of(row) == "growth":
            title = row["what"]
        elif part_of(row) in CHARTED:
            title = f"{row['what']}, {row['items']:,} items, N = {row['n']}"
        else:
            continue
        panels.setdefault(title, []).append(row)
    return panels


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Bars of CPU ns per pair, a panel for each case; parts that measure something else have none."""
    panels = cases(rows)
    if not panels:
        return
    heights = [0.6 + 0.24 * len(mine) for mine in panels.values()]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, sum(heights) + 0.5), layout="constrained", squeeze=False,
        height_ratios=heights,
    )  # fmt: skip
    for axis, (title, mine) in zip(axes[:, 0], panels.items(), strict=True):
        labels = [size(r) if part_of(r) == "growth" else r["method"].removesuffix(" (cosine only)") for r in mine]
        ours = [part_of(r) in ("growth", "cores") or r["method"].startswith("recsys") for r in mine]
        bars = axis.barh(
            range(len(mine)), [r["ns_per_pair"] for r in mine], color=["#1f6f8b" if own else "#b0b0b0" for own in ours]
        )
        axis.set_yticks(range(len(mine)), [label.replace(", ", ",\n", 1) for label in labels])
        axis.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axis.invert_yaxis()
        if part_of(mine[0]) == "joins":
            # Hundreds of times apart: on a straight axis ours could not be seen.
            axis.set_xscale("log")
        axis.set_title(title, fontsize=9, loc="left")
        axis.tick_params(which="both", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("CPU ns per user x item pair (less is better)", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
