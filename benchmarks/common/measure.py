"""CPU-seconds and memory of this process and everything below it, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

# psutil comes with the extra `bench`; what is made of finished rows does without.
if TYPE_CHECKING:
    import psutil


@dataclass(frozen=True)
class Cost:
    """What one run took: CPU-seconds of all processes, and seconds on the wall."""

    cpu: float
    wall: float


_LAST_SEEN: dict[tuple[int, float], float] = {}


def tree_cpu() -> float:
    """CPU-seconds so far of this process and its descendants (JVM, Python workers), those that have ended included.

    What has ended counts with what it was last seen to have taken: Spark's daemon lets idle workers go after a minute, and
    they are not always added to their parent's children. What began and ended between two calls is missed.
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


def median_wall(costs: list[Cost]) -> float:
    """Median seconds on the wall."""
    return median(c.wall for c in costs)


def python_workers() -> list[psutil.Process]:
    """Spark's Python workers below this process: what its daemon forked."""
    import psutil

    below = psutil.Process().children(recursive=True)
    daemons = {process.pid for process in below if "pyspark.daemon" in _command(process)}
    # The daemon's children carry its command line, so the parent tells which is which.
    return [process for process in below if process.pid in daemons and _parent(process) in daemons]


def _command(process: psutil.Process) -> list[str]:
    import psutil

    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _parent(process: psutil.Process) -> int:
    import psutil

    try:
        return int(process.ppid())
    except psutil.Error:
        return 0


@dataclass
class WorkerMemory:
    """Peaks in bytes over Spark's Python workers, sampled by a thread while the block of `with` runs.

    ``rss``, ``pss``, ``uss``: the largest worker's; of pages that several processes map, rss has all, pss its share and uss
    none. ``total_pss``: all workers together. ``rss`` is the system's own high-water mark, so no sample can miss it.
    """

    interval: float = 0.05
    rss: int = 0
    pss: int = 0
    uss: int = 0
    total_pss: int = 0
    n_workers: int = 0
    _known: list[psutil.Process] = field(default_factory=list, repr=False)
    _over: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> WorkerMemory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        for number in count():
            if not number % 5:
                # Looking through all processes costs more than asking the ones that are known.
                self._known = python_workers()
            self._sample()
            if self._over.wait(self.interval):
                return

    def _sample(self) -> None:
        import psutil

        pss = []
        for worker in self._known:
            try:
                now = worker.memory_full_info()
                self.rss = max(self.rss, now.rss, _high_water(worker.pid))
            except (psutil.Error, OSError):
                continue
            pss.append(now.pss)
            self.pss, self.uss = max(self.pss, now.pss), max(self.uss, now.uss)
        self.total_pss, self.n_workers = max(self.total_pss, sum(pss)), max(self.n_workers, len(pss))


def _high_water(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def machine() -> str:
    """The processor and the number of cores, in words."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


INT8_FLAGS = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
"""What Linux calls a processor's instructions that multiply and add int8 in one step."""


def int8_instructions() -> list[str]:
    """Those of INT8_FLAGS that this processor has; none where the system does not say."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "").split()
    return [flag for flag in INT8_FLAGS if flag in flags]
