"""Processes of their own: a JVM keeps the master it was started with, and a library the threads it was loaded with."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from recsys_spark.worker.process import THREAD_VARIABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

P = ParamSpec("P")
T = TypeVar("T")


def own_process(n_threads: int | None = None) -> ProcessPoolExecutor:
    """One fresh process that stays until it is shut down; its JVM and workers go with it.

    ``n_threads``: what the libraries that it loads may use; theirs to choose where None.
    """
    arguments = () if n_threads is None else (n_threads,)
    return ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_limit if arguments else None, initargs=arguments
    )


def run_in(process: ProcessPoolExecutor, run: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run there and wait."""
    return process.submit(run, *arguments, **named).result()


def _limit(n_threads: int) -> None:
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(n_threads)))


def drop(frame: DataFrame) -> None:
    """Compute all rows and keep none."""
    frame.write.format("noop").mode("overwrite").save()
