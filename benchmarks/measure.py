"""CPU-seconds of this process and everything below it, and the machine they were measured on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil


@dataclass(frozen=True)
class Cost:
    """What one run took: CPU-seconds of all processes, and seconds on the wall."""

    cpu: float
    wall: float


def tree_cpu() -> float:
    """CPU-seconds so far of this process, its descendants (JVM, Python workers) and those of them that have ended."""
    total = 0.0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def cost(run: Callable[[], object]) -> Cost:
    """Run once."""
    cpu, wall = tree_cpu(), time.perf_counter()
    run()
    return Cost(tree_cpu() - cpu, time.perf_counter() - wall)


def alternate(runs: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, list[Cost]]:
    """Run all, one after the other, ``repeats`` times over, so that a machine's moods fall on all of them alike."""
    for _ in range(warm_up):
        for run in runs.values():
            run()
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            costs[name].append(cost(run))
    return costs


def median_cpu(costs: list[Cost]) -> float:
    """Median CPU-seconds."""
    return median(c.cpu for c in costs)


def machine() -> str:
    """The processor and the number of cores, in words."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {psutil.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
