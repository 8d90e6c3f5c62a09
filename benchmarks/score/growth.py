"""How the stage's CPU time grows: with users over one catalogue, and with items at a constant number of pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown, size
from benchmarks.score.rows import OURS, ScorePlan, cost_rows
from benchmarks.score.runs import Case, run_stage, session, write_vectors

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
    """Return largest over smallest, minus 1.

    >>> spread([2.0, 2.5, 2.2])
    0.25
    """
    return max(figures) / min(figures) - 1


def line(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """Return a and b of the least-squares fit cost = a + b * size.

    >>> a, b = line([1, 2, 4], [3, 5, 9])
    >>> round(a, 6), round(b, 6)
    (1.0, 2.0)
    """
    slope, fixed = np.polyfit(np.asarray(sizes, float), np.asarray(costs, float), 1)
    return float(fixed), float(slope)


def marginal_deviation(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return how far the cost of one more is from the slope of the fit, at most, as a share of that slope.

    The cost of one more is taken between neighbouring sizes.

    >>> marginal_deviation([1, 2, 4], [3, 5, 9]) < 1e-9, round(marginal_deviation([0, 1, 2], [0, 1, 4]), 2)
    (True, 0.5)
    """
    _, slope = line(sizes, costs)
    return float(np.abs(np.diff(costs) / np.diff(sizes) / slope - 1).max())


def growth_rows(what: str, sizes: Sequence[tuple[int, int]], plan: ScorePlan) -> list[Row]:
    """Return a row for each size; sizes take turns."""
    cases = [Case(n_users, n_items, plan.cores) for n_users, n_items in sizes]
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Callable[[], object]] = {
            case.size: partial(run_stage, write_vectors(Path(folder), case), case) for case in cases
        }
        say(f"{what}: {', '.join(runs)} in turn")
        # The first runs are slower by the JVM's compiling, whatever the size.
        costs = alternate(runs, plan.times(3), warm_up=plan.times(2))
    rows: list[Row] = []
    for case in cases:
        taken = {OURS: costs[case.size]}
        rows += cost_rows(f"{what}, {plan.cores} cores", case.n_users, case.n_items, case.n, taken, growth=what)
        cpu_s, wall_s, per_pair = (rows[-1][name] for name in ("cpu_s", "wall_s", "ns_per_pair"))
        say(f"{what}: {case.size}: {cpu_s:.2f} CPU s, {wall_s:.2f} s, {per_pair:.2f} ns per pair")
    return rows


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """CPU per pair at each size."""
    session(plan.cores)
    for what, sizes in (TINY_SIZES if plan.tiny else SIZES).items():
        yield growth_rows(what, sizes, plan)
    session(plan.cores).stop()


def straightness(mine: list[Row]) -> list[str]:
    """Return how straight the lines are."""
    lines = []
    for what, count in ((USERS, "users"), (ITEMS, "items")):
        some = [row for row in mine if row["growth"] == what]
        if len(some) < 2:
            continue
        apart = f"ns per pair are {spread([r['ns_per_pair'] for r in some]):.0%} apart (largest over smallest, less 1)"
        if what == USERS:
            off = marginal_deviation([r[count] for r in some], [r["cpu_s"] for r in some])
            apart += f"; the cost of one more user is within {off:.0%} of the slope of CPU seconds = a + b x users"
        lines.append(f"- {what}, {some[0][count]:,} to {some[-1][count]:,}: {apart}.")
    return [*lines, ""]


PART = Part(
    "growth",
    "CPU time against users, and against items",
    measure,
    Section(
        "Growth",
        {
            "what": shown("growth"),
            "users x items": size,
            "ns per pair": shown("ns_per_pair", ".2f"),
            "CPU s": shown("cpu_s", ".2f"),
            "wall s": shown("wall_s", ".2f"),
            "runs": shown("repeats"),
        },
        after=straightness,
    ),
)
