"""Keeps the items of a block in the memory of a GPU, or another torch device, from one user block to the next.

Blocks are known by identity, so a caller that keeps an ``ItemBlock`` copies it once. Where memory is short, the least
recently used blocks give way.
"""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.numerics.unit_rows import rows_over_norms
from recsys_spark.scoring.kernels.blocks import ItemBlock

HOST_BYTES = 1 << 30
"""Assumed free memory of a device that does not report it."""
SHARE = 0.8
"""Share of the free memory of a GPU that is used; libraries' workspaces and fragmentation need the rest."""


@dataclass(frozen=True)
class DeviceItems:
    """Items on a device.

    ``y_unit`` and ``theta`` / 2^``exponent_of(items)`` in the dtype of the products, [n, d]; ``bias`` float32 [n];
    ``closed`` float32 [n]: -inf for items that nobody may get, else 0.
    """

    y_unit: torch.Tensor
    theta: torch.Tensor
    bias: torch.Tensor
    closed: torch.Tensor

    def columns(self, low: int, high: int) -> DeviceItems:
        """Return views of some of the items."""
        return DeviceItems(*(getattr(self, field.name)[low:high] for field in fields(DeviceItems)))


class Held(NamedTuple):
    """An entry of RESIDENT: the block it belongs to, as long as that lives, and its tensors."""

    block: weakref.ref[ItemBlock]
    tensors: DeviceItems
    n_bytes: int


RESIDENT: OrderedDict[tuple[int, str, torch.dtype], Held] = OrderedDict()
"""Items of this worker process on devices, least recently used first. A dropped block is freed here, too."""


def resident(items: ItemBlock, device: torch.device, dtype: torch.dtype, limit_bytes: int) -> DeviceItems | None:
    """Return the items of a block on the device, copied at the first call; None where they exceed ``limit_bytes``."""
    key = id(items), str(device), dtype
    held = RESIDENT.get(key)
    if held is not None and held.block() is items:
        RESIDENT.move_to_end(key)
        return held.tensors
    n_bytes = items.size * (2 * items.y.shape[1] * dtype.itemsize + 8)
    if n_bytes > limit_bytes:
        return None
    while RESIDENT and resident_bytes() + n_bytes > limit_bytes:
        RESIDENT.popitem(last=False)

    def forget(dead: weakref.ref[ItemBlock]) -> None:
        entry = RESIDENT.get(key)
        if entry is not None and entry.block is dead:
            del RESIDENT[key]

    RESIDENT[key] = Held(weakref.ref(items, forget), load(items, 0, items.size, device, dtype), n_bytes)
    return RESIDENT[key].tensors


def resident_bytes() -> int:
    """Return the bytes of the items that are kept on devices."""
    return sum(held.n_bytes for held in RESIDENT.values())


def load(items: ItemBlock, low: int, high: int, device: torch.device, dtype: torch.dtype) -> DeviceItems:
    """Copy items [low, high) of the block to the device.

    theta is scaled by a power of two, which is exact: vectors no longer than 1 neither overflow nor vanish in float16.
    """
    unit = rows_over_norms(items.y[low:high], items.y_norm[low:high])
    y_unit, theta = to_device(unit, device), to_device(items.theta[low:high], device)
    closed = np.where(items.open[low:high], np.float32(0), np.float32(-np.inf))
    return DeviceItems(
        y_unit.to(dtype),
        theta.mul(2.0 ** -exponent_of(items)).to(dtype),
        to_device(items.bias[low:high], device),
        to_device(closed, device),
    )


def exponent_of(items: ItemBlock) -> int:
    """Return the e for which |theta| / 2^e is at most 1, limited so that 2^e and 2^-e are normal float32 numbers.

    >>> from recsys_spark.scoring.kernels.blocks import item_block
    >>> theta = np.array([[3, 4]], np.float32)
    >>> exponent_of(item_block(0, theta, theta, bias=np.zeros(1, np.float32), available=np.ones(1, bool)))
    3
    """
    return max(-120, min(120, math.frexp(float(items.theta_max.max()))[1]))


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return the array as a tensor on the device.

    The host does not wait for the copy to a GPU, which goes through pinned memory.
    """
    tensor = torch.from_numpy(array)
    if device.type == "cuda" and tensor.numel():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def memory_of(device: torch.device) -> int:
    """Return the bytes of the device that scoring may use, with those that it already holds."""
    if device.type != "cuda":
        return HOST_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(SHARE * (free + idle + resident_bytes()))
