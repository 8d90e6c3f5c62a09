"""Charts as inline SVG that takes its colours from the page: bars with intervals, and curves over epochs."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Colours that stand for a CSS value in the finished SVG, so that one file suits a light and a dark page.
INK, GRID, PAPER = "#010101", "#020202", "#030303"
SERIES = ("#040404", "#050505", "#060606", "#070707")
CSS_OF_COLOUR = {INK: "var(--muted)", GRID: "var(--line)", PAPER: "none"} | {
    colour: f"var(--series-{n})" for n, colour in enumerate(SERIES, 1)
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, and in whatever script the page's fonts have
    "svg.hashsalt": "recsys-spark",  # the same input gives the same file
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 10.0,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}
PANELS_PER_ROW = 3
# The style sheet inside an inline SVG would apply to the whole page.
_NOT_DRAWING = re.compile(r"<(metadata|style).*?</\1>", re.DOTALL)
_ID = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True)
class Bar:
    """One bar: a model's value at a cut-off, with its interval where there is one."""

    panel: str
    group: str
    series: str
    value: float
    low: float | None = None
    high: float | None = None


def bar_chart(bars: Sequence[Bar], *, title: str, description: str, prefix: str) -> str:
    """Return SVG: a panel per `Bar.panel` with its own axis, bars grouped by `Bar.group`, an error bar per interval.

    Panels, groups and series stand in order of first appearance. ``title`` and ``description`` are what a screen
    reader says; ``prefix`` makes the SVG's ids unique within the page.
    """
    panels, series = _distinct(bar.panel for bar in bars), _distinct(bar.series for bar in bars)
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(panels), height=2.5)
        for panel, ax in zip(panels, axes, strict=True):
            mine = [bar for bar in bars if bar.panel == panel]
            _draw_bars(ax, mine, _distinct(bar.group for bar in mine), series)
            ax.set_title(panel, loc="left", fontweight="bold", fontsize=10)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(series), frameon=False)
        return _inline(figure, title, description, prefix)


def _draw_bars(ax: Axes, bars: Sequence[Bar], groups: Sequence[str], series: Sequence[str]) -> None:
    width = 0.8 / len(series)
    for position, name in enumerate(series):
        mine = [bar for bar in bars if bar.series == name]
        centres = [groups.index(bar.group) + (position - (len(series) - 1) / 2) * width for bar in mine]
        colour = SERIES[position % len(SERIES)]
        ax.bar(centres, [bar.value for bar in mine], width * 0.86, color=colour, label=name, zorder=2)
        for centre, bar in zip(centres, mine, strict=True):
            if bar.low is not None and bar.high is not None:
                reach = [[max(bar.value - bar.low, 0.0)], [max(bar.high - bar.value, 0.0)]]
                ax.errorbar(centre, bar.value, yerr=reach, color=INK, capsize=3, linewidth=1.2, zorder=3)
    ax.set_xticks(range(len(groups)), groups)
    ax.set_xlim(-0.5, len(groups) - 0.5)
    ax.set_ylim(bottom=0)
    ax.tick_params(length=0)
    ax.yaxis.grid(True, linewidth=0.6, zorder=0)
    ax.locator_params(axis="y", nbins=4)


def curve_chart(curves: Mapping[str, Sequence[float]], *, title: str, description: str, prefix: str) -> str:
    """Return SVG: a panel per curve, since losses differ in scale; epochs from 1 on the horizontal axis."""
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(curves), height=2.1)
        for (name, values), ax in zip(curves.items(), axes, strict=True):
            epochs = range(1, len(values) + 1)
            ax.plot(epochs, values, color=SERIES[0], linewidth=1.8, marker="o", markersize=3.5, clip_on=False)
            ax.set_title(name, loc="left", fontweight="bold", fontsize=10)
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            ax.locator_params(axis="y", nbins=4)
            ax.yaxis.grid(True, linewidth=0.6)
            ax.tick_params(length=0)
        return _inline(figure, title, description, prefix)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _panels(n: int, *, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with n axes in rows of PANELS_PER_ROW; no pyplot, whose figures are global state."""
    n_columns = min(max(n, 1), PANELS_PER_ROW)
    n_rows = -(-n // n_columns)
    figure = Figure(figsize=(3.5 * n_columns, height * n_rows + 0.3), layout="constrained")
    return figure, [figure.add_subplot(n_rows, n_columns, position + 1) for position in range(n)]


def _inline(figure: Figure, title: str, description: str, prefix: str) -> str:
    """The figure as an SVG element to put into a page: no prolog, no metadata, page colours, unique ids, a title."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = _NOT_DRAWING.sub("", text.getvalue())
    svg = _ID.sub(lambda match: f"{match[1]}{prefix}-", svg[svg.index("<svg") :])
    for colour, css in CSS_OF_COLOUR.items():
        svg = svg.replace(colour, css)
    _, drawing = svg.split(">", 1)
    width, height = (72 * inches for inches in figure.get_size_inches())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="0 0 {width:g} {height:g}" style="max-width:{width * 4 / 3:.0f}px" '
        f'aria-labelledby="{prefix}-title {prefix}-desc"><title id="{prefix}-title">{html.escape(title)}</title>'
        f'<desc id="{prefix}-desc">{html.escape(description)}</desc>{drawing}'
    )
