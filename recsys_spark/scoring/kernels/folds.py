"""Which fold a task uses: the one for its GPU where it has one, else the one on its CPU threads."""

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
    """The fold on ``device`` (``devices.task_device``); ``dtype`` is that of a GPU's products, the CPU's are float32."""
    if device == CPU:
        if dtype != "float32":
            log.info("score: no GPU; products are float32 on the CPU, not %s", dtype)
        return partial(fold, n_threads=n_threads)
    return partial(fold_on_device, device=torch.device(device), dtype=getattr(torch, dtype), n_threads=n_threads)
