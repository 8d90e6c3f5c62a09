"""Fresh processes: a JVM keeps the master it was started with, and a library the threads it was loaded with."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from benchmarks.common.costs import Cost, alternate
from recsys_spark.worker.threads import THREAD_VARIABLES

P = ParamSpec("P")
T = TypeVar("T")


def own_process(n_threads: int | None = None) -> ProcessPoolExecutor:
    """Return a fresh process that stays until it is shut down; its JVM and workers end with it.

    ``n_threads``: how many threads the libraries that it loads may use; None leaves the choice to them.
    """
    arguments = () if n_threads is None else (n_threads,)
    return ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_limit if arguments else None, initargs=arguments
    )


def run_in(process: ProcessPoolExecutor, run: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run there, wait, and return the result."""
    return process.submit(run, *arguments, **named).result()


def costs_by_cores(
    cores: int, call: Callable[[int], Callable[[], object]], repeats: int, warm_up: int
) -> dict[str, list[Cost]]:
    """Return the costs under local[1] and local[``cores``], in turn, each in a process that stays; the other one idles.

    ``call``: from a number of cores to what runs; it is sent to the process, so it must pickle.
    """
    with ExitStack() as stack:
        runs: dict[str, Callable[[], object]] = {}
        for some in sorted({1, cores}):
            runs[f"local[{some}]"] = partial(run_in, stack.enter_context(own_process()), call(some))
        return alternate(runs, repeats, warm_up)


def _limit(n_threads: int) -> None:
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(n_threads)))
