"""Compiled passes over rows on as many threads as torch's products have."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from recsys_spark.worker.cache import cached

LEAST_ROWS = 64
"""Per thread: handing a part to another thread costs some twenty microseconds."""


def in_parts(n_rows: int, work: Callable[[int, int], None], least: int = LEAST_ROWS) -> None:
    """``work(first, stop)`` for parts of ``n_rows`` rows, ``least`` at least, at once where torch has several threads.

    ``work`` releases the GIL, and what it makes of a row does not depend on the part that the row is in.
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
