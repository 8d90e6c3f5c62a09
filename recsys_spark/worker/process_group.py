"""Processes that train one model together, each on users of its own: what they tell one another.

All have the same weights and take the same steps; each makes the gradients of its users, and these are averaged. What is counted over users
(popularity, links, metrics) is added up. Alone, a process is a group of one that has nobody to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
Array = TypeVar("Array", bound=npt.NDArray[Any])
MOMENTS = 1_000_000
"""As many moments are enough to cut time into slices."""
PATIENCE = timedelta(minutes=30)
"""How long a process waits for another: one that has many users may be late, one that was killed closes its connection at once."""


class Group:
    """A group of one."""

    rank, size = 0, 1

    def add_up(self, values: Array) -> Array:
        """The sums over processes of arrays of one shape; may be written into ``values``."""
        return values

    def gather(self, value: T) -> list[T]:
        """What each process has, by rank."""
        return [value]

    def first(self, make: Callable[[], T]) -> T:
        """What the first process makes, told to all."""
        return make()

    def average(self, parameters: Sequence[Tensor], loss: float, weight: float) -> float:
        """Weighted means of the gradients, in place, and of the loss; the weights of all are not 0."""
        return loss

    def moments(self, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Moments of all processes; of many, evenly drawn ones."""
        return times


ALONE = Group()


class Processes(Group):
    """Several, that torch.distributed has brought together."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def add_up(self, values: Array) -> Array:
        """The sums over processes of arrays of one shape; may be written into ``values``."""
        # Column by column in memory is row by row the other way round, and torch wants rows.
        by_rows = values.T if values.flags.f_contiguous else np.ascontiguousarray(values)
        dist.all_reduce(torch.from_numpy(by_rows))
        return by_rows.T if values.flags.f_contiguous else by_rows  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """What each process has, by rank."""
        found: list[T | None] = [None] * self.size
        dist.all_gather_object(found, value)
        return found  # type: ignore[return-value]

    def first(self, make: Callable[[], T]) -> T:
        """What the first process makes, told to all."""
        made = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]

    def average(self, parameters: Sequence[Tensor], loss: float, weight: float) -> float:
        """Weighted means of the gradients, in place, and of the loss; the weights of all are not 0."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        told = gradients[0].new_tensor([loss, 1.0])
        flat = torch.cat([told, *(gradient.flatten() for gradient in gradients)]) * weight
        if not weight:
            # Nothing times no number would be no number.
            flat.zero_()
        dist.all_reduce(flat)
        flat /= flat[1].clone()
        start = len(told)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = flat[start : start + gradient.numel()].view_as(gradient)
            start += gradient.numel()
        return float(flat[0])

    def moments(self, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Moments of all processes; of many, evenly drawn ones."""
        every = 1 + sum(self.gather(len(times))) // MOMENTS
        return np.concatenate(self.gather(np.sort(times)[::every]))


@contextmanager
def joined(address: str, rank: int, size: int) -> Iterator[Group]:
    """The group of ``size`` processes that meet at ``address`` (host:port, listened to by rank 0)."""
    dist.init_process_group("gloo", init_method=f"tcp://{address}", rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Processes()
    finally:
        dist.destroy_process_group()
