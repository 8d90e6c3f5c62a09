"""Memory of this process, in bytes, as Linux counts it."""

from __future__ import annotations

import re
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident() -> int:
    """What is in memory now."""
    return _field("VmRSS")


def peak() -> int:
    """The most that was ever in memory. `getrusage` would count what the parent held when it started this process."""
    return _field("VmHWM")


def _field(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    if not found:
        raise RuntimeError(f"{STATUS} has no {name}")
    return int(found[1]) * 1024
