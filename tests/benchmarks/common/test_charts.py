"""Charts that every benchmark draws in the same way."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.common.charts import Bar, Panel, draw_bars


def test_columns_of_different_length_and_bars_with_intervals_are_drawn(tmp_path: Path) -> None:
    long = Panel("long", [Bar("a", 1.0), Bar("b", 100.0)], log=True)
    exact = Panel("with intervals", [Bar("c", 0.5, interval=(0.4, 0.7))])
    draw_bars(tmp_path / "two.png", [[long, exact, exact], [exact]], "seconds", "%.1f")
    draw_bars(tmp_path / "one.png", [[exact], []])
    two, one = (plt.imread(tmp_path / f"{name}.png") for name in ("two", "one"))
    assert two.shape[0] > 2 * one.shape[0]
    assert two.shape[1] > one.shape[1]


def test_without_a_panel_nothing_is_drawn(tmp_path: Path) -> None:
    draw_bars(tmp_path / "none.png", [[], []])
    assert not list(tmp_path.iterdir())
