"""Charts with one look: panels of bars, and the axes, colours and files of every other chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

OWN, OTHER, LIMIT = "#1f6f8b", "#b0b0b0", "#e0c58f"
"""Colours of our own, of everything else, and of a limit."""


@dataclass(frozen=True)
class Bar:
    """One bar, with an interval if it has one."""

    label: str
    value: float
    colour: str = OTHER
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """Bars below one title."""

    title: str
    bars: Sequence[Bar]
    log: bool = False
    """For bars that are hundreds of times apart"""


def draw_bars(path: Path, columns: Sequence[Sequence[Panel]], label: str = "", form: str | None = None) -> None:
    """Draw a column of panels for each of ``columns``; without a panel nothing is drawn.

    ``label``: what the bars are. ``form``: how a bar's value is written at its end.
    """
    columns = [column for column in columns if column]
    if not columns:
        return
    lines = max(map(len, columns))
    counts = [max(len(column[line].bars) for column in columns if line < len(column)) for line in range(lines)]
    heights = [0.6 + 0.24 * n_bars for n_bars in counts]
    figure, axes = grid(lines, len(columns), (max(8.0, 5.6 * len(columns)), sum(heights) + 0.5), heights)
    for column, place in zip(columns, axes.T, strict=True):
        for axis in place[len(column) :]:
            axis.set_visible(False)
        for panel, axis in zip(column, place, strict=False):
            _bars(axis, panel, form)
        place[len(column) - 1].set_xlabel(label, fontsize=9)
    save(figure, path)


def _bars(axis: Any, panel: Panel, form: str | None) -> None:
    places, values = range(len(panel.bars)), [bar.value for bar in panel.bars]
    errors = None
    if all(bar.interval for bar in panel.bars):
        ends = [(bar.value - bar.interval[0], bar.interval[1] - bar.value) for bar in panel.bars if bar.interval]
        errors = [list(side) for side in zip(*ends, strict=True)]
    drawn = axis.barh(
        places,
        values,
        xerr=errors,
        color=[bar.colour for bar in panel.bars],
        error_kw={"elinewidth": 1, "capsize": 2},
    )
    axis.set_yticks(places, [bar.label for bar in panel.bars])
    axis.invert_yaxis()
    if form is not None:
        axis.bar_label(drawn, fmt=form, padding=2, fontsize=8)
        axis.margins(x=0.18)
    if panel.log:
        axis.set_xscale("log")
    tidy(axis, panel.title)


def grid(lines: int, columns: int, inches: tuple[float, float], heights: Sequence[float] | None = None) -> Any:
    """Return a figure and its axes [lines, columns]."""
    return plt.subplots(lines, columns, figsize=inches, layout="constrained", squeeze=False, height_ratios=heights)


def tidy(axis: Any, title: str) -> None:
    """Give the axis its title, small labels, and no frame on the right and above."""
    axis.set_title(title, fontsize=9, loc="left")
    axis.tick_params(which="both", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure: Any, path: Path) -> None:
    """Write the figure and forget it."""
    figure.savefig(path, dpi=110)
    plt.close(figure)
