"""The calibration rows of the quality benchmark as a table and as a reliability chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.common.ledger import OTHER, OWN, Row, table
from benchmarks.quality.calibration import CALIBRATION, CATALOGUE, TOP_1, TOP_MASS

AIM = 0.02
"""Below it P is worth reading as a probability."""
CHART = "calibration.png"
POINT = 40.0


def calibration_table(rows: Sequence[Row]) -> list[str]:
    """A line for each method and event, in the order of the rows; nothing where no method gives probabilities."""
    some = distinct([row for row in rows if row["kind"] == CALIBRATION])
    if not some:
        return []
    body = [
        [
            row["method"], row["event"], row["items"], f"{row['n_users']:,}", f"{row['mean_p']:.4f}", f"{row['share']:.4f}",
            f"{row['ece']:.4f}", f"{row['ece_chance']:.4f} (to {row['ece_chance_high']:.4f})",
        ]
        for row in some
    ]  # fmt: skip
    head = ["P of", "event", "over", "users", "mean P", "happened", "ECE", "ECE by chance"]
    return [
        f"The next item of a user, in bins of equal mass: expected calibration error, and what true probabilities would show on so "
        f"few users. P over the {CATALOGUE} is what the model gives; over unseen items it is what a list is drawn from.",
        "",
        *table(head, body),
    ]


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Of rows with the same bins the first: methods that differ in the cosine's weight alone have one P."""
    keys = [(row["part"], row["protocol"], row["event"], row["items"], str(row["bins"])) for row in reversed(rows)]
    return list(dict(zip(keys, reversed(rows), strict=True)).values())[::-1]


def draw_reliability(path: Path, rows: Sequence[Row]) -> None:
    """Share that happened against P over the whole catalogue: top-1 and top-10 mass, a line of panels for each method and split.

    Without calibration rows nothing is drawn, and a chart of earlier ones goes.
    """
    shown = distinct([row for row in rows if row["kind"] == CALIBRATION and row["items"] == CATALOGUE])
    lines = list(dict.fromkeys(_line(row) for row in shown))
    if not lines:
        path.unlink(missing_ok=True)
        return
    inches = 4.2 * len(lines) + 0.3
    figure, axes = plt.subplots(len(lines), 2, figsize=(9, inches), squeeze=False)
    # Borders by hand, in inches: a layout engine draws everything twice, and the report is written after each method.
    figure.subplots_adjust(0.07, 0.5 / inches, 0.99, 1 - 0.75 / inches, wspace=0.2, hspace=0.3)
    for line, pair in zip(lines, axes, strict=True):
        for event, axis in zip((TOP_1, TOP_MASS), pair, strict=True):
            [row] = [row for row in shown if _line(row) == line and row["event"] == event]
            _panel(axis, row)
    # Outside: where in a panel the points are is what is to be found out.
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper left", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(row: Row) -> tuple[str, str, str]:
    return row["part"], row["protocol"], row["method"]


def _panel(axis: Axes, row: Row) -> None:
    bins = {name: np.array(values) for name, values in row["bins"].items()}
    most = max(bins[name].max() for name in ("predicted", "observed", "high"))
    end = min(1.03, 1.08 * max(float(most), 1e-3))
    axis.plot([0, end], [0, end], color=OTHER, linewidth=1, label="true probabilities")
    axis.vlines(
        bins["predicted"], bins["low"], bins["high"], color=OTHER, linewidth=5, alpha=0.6,
        label="95% of what they would show",
    )  # fmt: skip
    size = POINT * bins["count"] / bins["count"].mean()
    axis.scatter(bins["predicted"], bins["observed"], s=size, color=OWN, zorder=3, label="bins (area: users)")
    axis.set(xlim=(0, end), ylim=(-0.02 * end, end), xlabel=f"P ({row['event']})", ylabel="share that happened")
    axis.set_title(
        # No event: the axis names it, and a changed method's name is long.
        f"{row['part']}, {row['protocol']}, {row['method']}\n"
        f"ECE {row['ece']:.4f}, by chance {row['ece_chance']:.4f} (aim: below {AIM}), {row['n_users']:,} users",
        fontsize=8,
        loc="left",
    )
    axis.tick_params(labelsize=8)
    axis.locator_params(nbins=5)
    axis.spines[["top", "right"]].set_visible(False)
