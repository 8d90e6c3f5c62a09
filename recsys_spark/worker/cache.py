"""What a Python worker process keeps between tasks."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shared(Protocol[T_co]):
    """A value that every worker can read, as a broadcast of Spark provides it."""

    @property
    def value(self) -> T_co:
        """The value, loaded once per worker process."""


MAX_KEPT = 8
"""Values kept per process. The least recently used goes first, so that a long notebook session does not fill up."""


@dataclass
class Kept:
    """One kept value and how often it was used; making it counts as one use."""

    value: object
    uses: int = 1


# The project's one mutable module state. It lives as long as the process: spark.python.worker.reuse is on.
_KEPT: OrderedDict[Hashable, Kept] = OrderedDict()


def cached(key: Hashable, make: Callable[[], T]) -> T:
    """Return ``make()`` of this process's first call with ``key``; later calls and later tasks get the same object.

    The key must contain everything that the value depends on. An error of ``make`` is raised, and nothing is kept.

    >>> cached("doctest", list) is cached("doctest", list)
    True
    """
    if key in _KEPT:
        _KEPT.move_to_end(key)
        _KEPT[key].uses += 1
        return cast(T, _KEPT[key].value)
    value = make()
    _KEPT[key] = Kept(value)
    while len(_KEPT) > MAX_KEPT:
        _KEPT.popitem(last=False)
    return value


def uses(key: Hashable) -> int:
    """Return how often this process asked for ``key`` since it was made; 0 where it is not kept."""
    return _KEPT[key].uses if key in _KEPT else 0


def freeze_imports() -> None:
    """Exclude everything loaded so far from garbage collection; call it at the end of a task.

    Spark's worker collects garbage after every task. Walking the objects of torch and Numba each time cost 1.2 of the
    3.0 CPU-seconds that the workers spent on scoring 20,000 x 20,000. A later task may load more: a worker that packed
    rows has not loaded torch yet.
    """
    cached(("frozen imports", len(sys.modules)), gc.freeze)
