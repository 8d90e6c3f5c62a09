"""How many CPU threads the libraries of a Python worker process use."""

from __future__ import annotations

import os

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def limit_threads(n: int) -> None:
    """Let torch, BLAS and the tokenizer of this process use ``n`` threads; n times a machine's tasks is its cores.

    The variables reach only libraries that are loaded later. Torch is told directly, because Spark has already set
    OMP_NUM_THREADS to one executor's cores, or to 1 in local mode, before Python started.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(n)
    import torch

    if torch.get_num_threads() != n:
        torch.set_num_threads(n)
