"""The same bits from the same seed, also on CPUs with several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Make torch add up in one order on a CPU. By default gradients of indexed rows are added as the threads finish.

    GPUs are left as they are: such sums have another remedy there, and not every operation has one.
    """
    was, fills = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if device.type != "cpu" or was:
        yield
        return
    torch.use_deterministic_algorithms(True)
    # All tensors made here are written before they are read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
