"""Compiled passes over rows, on as many threads as torch uses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from recsys_spark.worker.cache import cached

LEAST_ROWS = 64
"""Per thread: giving a part to another thread costs about twenty microseconds."""


def in_parts(n_rows: int, work: Callable[[int, int], None], least: int = LEAST_ROWS) -> None:
    """Call ``work(first, stop)`` for parts of ``n_rows`` rows, in parallel where torch has several threads.

    A part has at least ``least`` rows. ``work`` releases the GIL. Its result for a row does not depend on the part.
    """
    n_threads = torch.get_num_threads()
    n_parts = min(n_threads, n_rows // least)
    if n_parts < 2:
        work(0, n_rows)
        return
    pool = cached(("threads of passes", n_threads), lambda: ThreadPoolExecutor(n_threads, "encoder-pass"))
    edges = [n_rows * part // n_parts for part in range(n_parts + 1)]
    parts = [pool.submit(work, *edges[part : part + 2]) for part in range(1, n_parts)]
    work(*edges[:2])
    for part in parts:
        part.result()
