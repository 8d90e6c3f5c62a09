"""Which fold a task uses: the one on its GPU where Spark gave it one, else the one on its CPU threads."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial

import torch

from recsys_spark.errors import ConfigError
from recsys_spark.kernels.device import fold_on_device
from recsys_spark.kernels.scoring import Fold
from recsys_spark.kernels.topn import fold
from recsys_spark.workers import wants_cuda

log = logging.getLogger("recsys_spark")


def fold_of(device: str, dtype: str, *, n_threads: int, addresses: Sequence[str] = ()) -> Fold:
    """The fold for ``device`` (`auto`, `cpu`, `cuda`); ``dtype`` is that of a GPU's products, the CPU's are float32.

    ``addresses``: the GPUs that Spark assigned to the task; `auto` takes no other, because every task of a machine would
    take the same one. Raises ConfigError where `cuda` is asked for and not there.
    """
    if not wants_cuda(device, "score.device", ConfigError) or (device == "auto" and not addresses):
        if dtype != "float32":
            log.info("score: no GPU; products are float32 on the CPU, not %s", dtype)
        return partial(fold, n_threads=n_threads)
    place = torch.device("cuda", device_index(addresses))
    return partial(fold_on_device, device=place, dtype=getattr(torch, dtype), n_threads=n_threads)


def device_index(addresses: Sequence[str]) -> int:
    """The CUDA index of a task's first GPU: its place in CUDA_VISIBLE_DEVICES where that names it, else its address.

    >>> device_index([]), device_index(["3"])
    (0, 3)
    """
    if not addresses:
        return 0
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible.index(addresses[0]) if addresses[0] in visible else int(addresses[0])
