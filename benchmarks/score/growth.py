"""How the stage's CPU time grows: in users over one catalogue, and in items where users shrink so that pairs stay the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.score.results import cost_rows, run_part
from benchmarks.score.stage import Case, run_stage, session, write_vectors

USERS, ITEMS = "growth in users", "growth in items at constant pairs"
SIZES = {
    USERS: [(10_000, 20_000), (50_000, 20_000), (200_000, 20_000)],
    ITEMS: [(1_000_000, 10_000), (100_000, 100_000), (10_000, 1_000_000)],
}
TINY_SIZES = {
    USERS: [(100, 500), (500, 500), (2_000, 500)],
    ITEMS: [(2_000, 100), (200, 1_000), (20, 10_000)],
}


def spread(figures: Sequence[float]) -> float:
    """Largest over smallest, minus 1.

    >>> spread([2.0, 2.5, 2.2])
    0.25
    """
    return max(figures) / min(figures) - 1


def line(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """a and b of the least-squares fit cost = a + b * size.

    >>> a, b = line([1, 2, 4], [3, 5, 9])
    >>> round(a, 6), round(b, 6)
    (1.0, 2.0)
    """
    slope, fixed = np.polyfit(np.asarray(sizes, float), np.asarray(costs, float), 1)
    return float(fixed), float(slope)


def marginal_deviation(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """How far the marginal cost between neighbouring sizes is from the slope of the fit, at most, as a share of that slope.

    >>> marginal_deviation([1, 2, 4], [3, 5, 9]) < 1e-9, round(marginal_deviation([0, 1, 2], [0, 1, 4]), 2)
    (True, 0.5)
    """
    _, slope = line(sizes, costs)
    return float(np.abs(np.diff(costs) / np.diff(sizes) / slope - 1).max())


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """CPU per pair at each size; sizes take turns."""
    session(cores)
    rows: list[Row] = []
    for what, sizes in (TINY_SIZES if tiny else SIZES).items():
        with tempfile.TemporaryDirectory() as folder:
            runs: dict[str, Callable[[], object]] = {}
            cases = {}
            for n_users, n_items in sizes:
                case = Case(n_users, n_items, cores)
                path = write_vectors(Path(folder), case)
                cases[case.size] = case
                runs[case.size] = partial(run_stage, path, case)
            say(f"{what}: {', '.join(runs)} in turn")
            # The first runs are slower by the JVM's compiling, whatever the size.
            costs = alternate(runs, repeats=1 if tiny else 3, warm_up=1 if tiny else 2)
        for size, case in cases.items():
            taken = {"recsys-spark": costs[size]}
            (row,) = cost_rows(f"{what}, {cores} cores", case.n_users, case.n_items, case.n, taken, growth=what)
            say(
                f"{what}: {size}: {row['cpu_s']:.2f} CPU s, {row['wall_s']:.2f} s, {row['ns_per_pair']:.2f} ns per pair"
            )
            rows.append(row)
    session(cores).stop()
    return rows


if __name__ == "__main__":
    run_part("growth", measure, __doc__)
