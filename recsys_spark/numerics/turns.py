"""Turns of processes: while one compiles a function, the others wait for its machine code."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PATIENCE = 120.0
"""Seconds that a process waits for another, which may have been stopped. Then it compiles too."""
PAUSE = 0.02


@contextmanager
def turn(file: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Let one process of this machine at a time run the block, for each ``file``.

    The lock ends with its process, so a killed one holds up nobody. Without a place for the file, nobody waits.
    """
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield
        return
    try:
        _wait(lock, patience)
        yield
    finally:
        os.close(lock)


def _wait(lock: int, patience: float) -> None:
    """Wait for the lock, at most ``patience`` seconds; not at all on a file system without locks."""
    end = time.monotonic() + patience
    while fcntl is not None and time.monotonic() < end:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
        except OSError:
            return
        else:
            return
