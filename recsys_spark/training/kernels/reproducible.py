"""The same bits from the same seed, on CPUs with several threads, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Make torch add up in one order on a CPU; by default gradients of indexed rows are added as the threads finish.

    GPUs are left as they are: there such sums have another remedy, and not every operation has one.
    """
    was, fills = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if device.type != "cpu" or was:
        yield
        return
    torch.use_deterministic_algorithms(True)
    # All that is made here is written before it is read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
