"""The calibration rows of the quality benchmark as a table and as a reliability chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.common.charts import OTHER, OWN, save, tidy
from benchmarks.common.ledger import Row
from benchmarks.common.tables import Columns, shown, table
from benchmarks.quality.calibration import CALIBRATION, CATALOGUE, TOP_1, TOP_MASS

CHART = "calibration.png"
POINT = 40.0


COLUMNS: Columns = {
    "P of": shown("method"),
    "event": shown("event"),
    "over": shown("items"),
    "users": shown("n_users", ","),
    "mean P": shown("mean_p", ".4f"),
    "happened": shown("share", ".4f"),
    "ECE": shown("ece", ".4f"),
    "ECE by chance": lambda row: f"{row['ece_chance']:.4f} (to {row['ece_chance_high']:.4f})",
}
NOTE = (
    "The next item of a user, in bins of equal mass: expected calibration error, and what true probabilities would "
    f"show on as few users. P over the {CATALOGUE} is what the model gives; "
    "over unseen items it is what a list is drawn from."
)


def calibration_table(rows: Sequence[Row]) -> list[str]:
    """Return a line for each method and event, in the order of the rows; nothing if no method gives probabilities."""
    some = distinct([row for row in rows if row["kind"] == CALIBRATION])
    return [NOTE, "", *table(some, COLUMNS)] if some else []


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Return the first of rows with the same bins: methods that differ in w_cos alone have one P."""
    keys = [(row["part"], row["protocol"], row["event"], row["items"], str(row["bins"])) for row in reversed(rows)]
    return list(dict(zip(keys, reversed(rows), strict=True)).values())[::-1]


def draw_reliability(path: Path, rows: Sequence[Row]) -> None:
    """Draw the share that happened against P over the whole catalogue: top-1 and top-10 mass.

    Each method and split has a line of panels. Without calibration rows nothing is drawn, and a chart of earlier rows
    is deleted.
    """
    some = distinct([row for row in rows if row["kind"] == CALIBRATION and row["items"] == CATALOGUE])
    lines = list(dict.fromkeys(_line(row) for row in some))
    if not lines:
        path.unlink(missing_ok=True)
        return
    inches = 4.2 * len(lines) + 0.3
    figure, axes = plt.subplots(len(lines), 2, figsize=(9, inches), squeeze=False)
    # Borders by hand, in inches: a layout engine draws everything twice, and the report is written after each method.
    figure.subplots_adjust(0.07, 0.5 / inches, 0.99, 1 - 0.75 / inches, wspace=0.2, hspace=0.3)
    for line, pair in zip(lines, axes, strict=True):
        for event, axis in zip((TOP_1, TOP_MASS), pair, strict=True):
            [row] = [row for row in some if _line(row) == line and row["event"] == event]
            _panel(axis, row)
    # Outside the panels, where it covers no point.
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper left", ncols=3, fontsize=8, frameon=False)
    save(figure, path)


def _line(row: Row) -> tuple[str, str, str]:
    return row["part"], row["protocol"], row["method"]


def _panel(axis: Axes, row: Row) -> None:
    bins = {name: np.array(values) for name, values in row["bins"].items()}
    most = max(bins[name].max() for name in ("predicted", "observed", "high"))
    end = min(1.03, 1.08 * max(float(most), 1e-3))
    axis.plot([0, end], [0, end], color=OTHER, linewidth=1, label="true probabilities")
    would_show = {"color": OTHER, "linewidth": 5, "alpha": 0.6, "label": "95% of what they would show"}
    axis.vlines(bins["predicted"], bins["low"], bins["high"], **would_show)
    size = POINT * bins["count"] / bins["count"].mean()
    axis.scatter(bins["predicted"], bins["observed"], s=size, color=OWN, zorder=3, label="bins (area: users)")
    axis.set(xlim=(0, end), ylim=(-0.02 * end, end), xlabel=f"P ({row['event']})", ylabel="share that happened")
    # No event in the title: the axis names it, and a changed method's name is long.
    error = f"ECE {row['ece']:.4f}, by chance {row['ece_chance']:.4f}, {row['n_users']:,} users"
    tidy(axis, f"{row['part']}, {row['protocol']}, {row['method']}\n{error}")
    axis.locator_params(nbins=5)
