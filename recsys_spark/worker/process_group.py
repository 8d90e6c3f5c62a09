"""Communication of processes that train one model together, each on its own users.

All have the same weights and take the same steps. Each computes the gradients of its users, and these are averaged.
Counts over users (popularity, links, metrics) are added. A process alone is a group of one.
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

from recsys_spark.numerics.arrays import F64

T = TypeVar("T")
Array = TypeVar("Array", bound=npt.NDArray[Any])
MOMENTS = 1_000_000
"""This number of moments is enough to cut time into slices."""
PATIENCE = timedelta(minutes=30)
"""How long a process waits for another.

A process with many users may be late. A killed process closes its connection at once."""


class Group:
    """A group of one."""

    rank, size = 0, 1

    def add_up(self, values: Array) -> Array:
        """Return the sums over processes of arrays of one shape; may write them into ``values``."""
        return values

    def gather(self, value: T) -> list[T]:
        """Return the value of each process, by rank."""
        return [value]

    def first(self, make: Callable[[], T]) -> T:
        """Return in every process what ``make`` returns in the first."""
        return make()

    def average(self, parameters: Sequence[Tensor], loss: float, weight: float) -> float:
        """Average the gradients in place and return the mean loss, both weighted; the sum of the weights is not 0."""
        return loss

    def moments(self, times: F64) -> F64:
        """Return the moments of all processes, or an even selection where there are many."""
        return times


ALONE = Group()


class Processes(Group):
    """Several processes, connected by torch.distributed."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def add_up(self, values: Array) -> Array:
        """Return the sums over processes of arrays of one shape; may write them into ``values``."""
        # The transpose of an array stored by columns is stored by rows, as torch needs it.
        by_rows = values.T if values.flags.f_contiguous else np.ascontiguousarray(values)
        dist.all_reduce(torch.from_numpy(by_rows))
        return by_rows.T if values.flags.f_contiguous else by_rows  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """Return the value of each process, by rank."""
        found: list[T | None] = [None] * self.size
        dist.all_gather_object(found, value)
        return found  # type: ignore[return-value]

    def first(self, make: Callable[[], T]) -> T:
        """Return in every process what ``make`` returns in the first."""
        made = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]

    def average(self, parameters: Sequence[Tensor], loss: float, weight: float) -> float:
        """Average the gradients in place and return the mean loss, both weighted; the sum of the weights is not 0."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        told = gradients[0].new_tensor([loss, 1.0])
        flat = torch.cat([told, *(gradient.flatten() for gradient in gradients)]) * weight
        if not weight:
            # 0 times NaN would be NaN.
            flat.zero_()
        dist.all_reduce(flat)
        flat /= flat[1].clone()
        start = len(told)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = flat[start : start + gradient.numel()].view_as(gradient)
            start += gradient.numel()
        return float(flat[0])

    def moments(self, times: F64) -> F64:
        """Return the moments of all processes, or an even selection where there are many."""
        every = 1 + sum(self.gather(len(times))) // MOMENTS
        return np.concatenate(self.gather(np.sort(times)[::every]))


@contextmanager
def joined(address: str, rank: int, size: int) -> Iterator[Group]:
    """Join the group of ``size`` processes that meet at ``address`` (host:port, where rank 0 listens)."""
    dist.init_process_group("gloo", init_method=f"tcp://{address}", rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Processes()
    finally:
        dist.destroy_process_group()
