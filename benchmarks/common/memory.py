"""Memory in bytes, as Linux counts it: of a process, and of Spark's Python workers while something runs."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

# psutil comes with the extra `bench`; reports are made without it.
if TYPE_CHECKING:
    import psutil


def resident(pid: int | str = "self") -> int:
    """Return what the process has in memory now."""
    return _field("VmRSS", pid)


def peak(pid: int | str = "self") -> int:
    """Return the most that the process ever had in memory.

    `getrusage` would count what the parent held when it started this process.
    """
    return _field("VmHWM", pid)


def _field(name: str, pid: int | str) -> int:
    status = Path(f"/proc/{pid}/status")
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
    if not found:
        raise OSError(f"{status} has no {name}")
    return int(found[1]) * 1024


def python_workers() -> list[psutil.Process]:
    """Return Spark's Python workers below this process, which are what its daemon forked."""
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

    ``rss``, ``pss``, ``uss`` are the largest worker's. RSS has all pages that a process maps; of pages that several
    processes map, PSS has its share and USS none. ``total_pss``: all workers together. ``rss`` is the system's own
    high-water mark, so no sample can miss it.
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
                self.rss = max(self.rss, now.rss, peak(worker.pid))
            except (psutil.Error, OSError):
                continue
            pss.append(now.pss)
            self.pss, self.uss = max(self.pss, now.pss), max(self.uss, now.uss)
        self.total_pss, self.n_workers = max(self.total_pss, sum(pss)), max(self.n_workers, len(pss))
