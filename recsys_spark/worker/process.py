"""What a Python worker process keeps between tasks, and how many CPU threads it may use."""

from __future__ import annotations

import gc
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from recsys_spark.errors import RecsysError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shared(Protocol[T_co]):
    """A value every worker can read, as a broadcast of Spark gives it."""

    @property
    def value(self) -> T_co:
        """The value, loaded once per worker process."""


MAX_KEPT = 8
"""Things kept per process; the one unused for longest goes first, so that a long notebook session does not fill up."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass
class Kept:
    """One kept value: how often it was used, the making included."""

    value: object
    uses: int = 1


# The project's one mutable module state. It lives as long as the process: spark.python.worker.reuse is on.
_KEPT: OrderedDict[Hashable, Kept] = OrderedDict()


def cached(key: Hashable, make: Callable[[], T]) -> T:
    """Return ``make()`` of the first call with ``key`` in this process; later calls and later tasks get the same object.

    The key must hold everything the value depends on. What ``make`` raises is raised, and nothing is kept.

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
    """How often this process asked for ``key`` since it was made; 0 where it is not kept."""
    return _KEPT[key].uses if key in _KEPT else 0


def limit_threads(n: int) -> None:
    """Let torch, BLAS and the tokenizer of this process use ``n`` threads; tasks on a machine x n = its cores.

    The variables reach only libraries that are loaded later. Torch is told directly, because Spark has already set
    OMP_NUM_THREADS to one executor's cores, or to 1 in local mode, before Python started.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(n)
    import torch

    if torch.get_num_threads() != n:
        torch.set_num_threads(n)


def wants_cuda(asked: str, setting: str, error: type[RecsysError]) -> bool:
    """Whether a task whose ``setting`` is ``asked`` (`auto`, `cpu`, `cuda`) uses CUDA. Raises ``error`` where it must and cannot."""
    import torch

    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise error(
            f"{setting} is cuda, and this machine has no usable CUDA device",
            where=setting,
            found=f"torch {torch.__version__}, torch.cuda.is_available() is False",
            expected="a GPU, its driver and a CUDA build of torch on every worker",
            action=f'set {setting} = "auto" or "cpu", or check the GPU resources of the workers',
        )
    return available and asked != "cpu"


def freeze_imports() -> None:
    """Take what is loaded so far out of the garbage collector's sight; call it at the end of a task.

    Spark's worker collects garbage after every task. Walking the objects of torch and Numba each time came to 1.2 of the 3.0
    CPU-seconds that the workers spent on scoring 20,000 x 20,000. A later task may load more: a worker that packed rows
    has no torch yet.
    """
    cached(("frozen imports", len(sys.modules)), gc.freeze)
