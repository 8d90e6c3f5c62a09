"""Chooses the fold of a task: on its GPU if it has one, else on its CPU threads."""

from __future__ import annotations

import logging
from functools import partial

import torch

from recsys_spark.scoring.kernels.boosted import Fold
from recsys_spark.scoring.kernels.gpu.topn import fold_on_device
from recsys_spark.scoring.kernels.topn import fold
from recsys_spark.worker.devices import CPU

log = logging.getLogger("recsys_spark")


def fold_of(device: str, dtype: str, *, n_threads: int) -> Fold:
    """Return the fold on ``device``, which is a value of ``devices.task_device``.

    ``dtype`` is the precision of products on a GPU; a CPU always multiplies in float32.
    """
    if device == CPU:
        if dtype != "float32":
            log.info("score: the task has no GPU; the CPU multiplies in float32, not in %s", dtype)
        return partial(fold, n_threads=n_threads)
    return partial(fold_on_device, device=torch.device(device), dtype=getattr(torch, dtype), n_threads=n_threads)
