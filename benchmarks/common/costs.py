"""CPU-seconds and seconds of a run: this process and everything below it, methods in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.common.ledger import Row


@dataclass(frozen=True)
class Cost:
    """One run: CPU-seconds of all processes, and seconds on the wall."""

    cpu: float
    wall: float


_LAST_SEEN: dict[tuple[int, float], float] = {}


def tree_cpu() -> float:
    """Return the CPU-seconds so far of this process and its descendants (JVM, Python workers).

    A process that has ended counts with its last seen value: Spark's daemon ends idle workers after a minute, and they
    are not always added to their parent's children. A process that began and ended between two calls is not counted.
    """
    import psutil

    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
            _LAST_SEEN[process.pid, process.create_time()] = times.user + times.system
        except psutil.Error:
            continue
    return sum(_LAST_SEEN.values())


def cost(run: Callable[[], object]) -> Cost:
    """Run once and return the cost."""
    cpu, wall = tree_cpu(), time.perf_counter()
    run()
    return Cost(tree_cpu() - cpu, time.perf_counter() - wall)


def alternate(runs: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, list[Cost]]:
    """Run all, one after the other, ``repeats`` times over: a slow minute of the machine falls on all of them alike."""
    for _ in range(warm_up):
        for run in runs.values():
            run()
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            costs[name].append(cost(run))
    return costs


def cost_facts(method: str, costs: list[Cost]) -> Row:
    """Return what every row of a timed method says: how often it ran, and the medians.

    >>> cost_facts("m", [Cost(2.0, 1.0), Cost(4.0, 3.0), Cost(9.0, 2.0)])
    {'method': 'm', 'repeats': 3, 'cpu_s': 4.0, 'wall_s': 2.0}
    """
    cpu_s, wall_s = median(c.cpu for c in costs), median(c.wall for c in costs)
    return {"method": method, "repeats": len(costs), "cpu_s": cpu_s, "wall_s": wall_s}
