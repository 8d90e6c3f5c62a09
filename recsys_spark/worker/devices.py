"""The device on which a task computes: the GPU that Spark assigned, a free GPU on a machine of its own, else the CPU.

Spark gives an address to one task at a time, but not to one process. Its pool of idle Python workers is first in, first
out, so the tasks of one GPU visit all processes of an executor. If each process kept a model there, copies would fill
the GPU. Hence one rule: **a model is on a GPU only while a task computes there** (``task_device`` around the task,
``lent`` around the use of the model). Otherwise it waits in host memory, from where it returns in milliseconds. So the
next task of a process may get another GPU. A lock file per GPU makes a process wait for another one that still
computes: of a killed task, of another executor or, in local mode, of another core.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from recsys_spark.errors import RecsysError
from recsys_spark.worker.cache import cached

log = logging.getLogger("recsys_spark")

CPU = "cpu"


class Movable(Protocol):
    """Something that moves between devices in place, as a torch module does."""

    def to(self, device: str, /) -> Any:
        """Move the parameters to ``device``."""


@contextmanager
def task_device(
    asked: str, addresses: Sequence[str], *, setting: str, error: type[RecsysError], own_machine: bool = False
) -> Iterator[str]:
    """Lend this task's device, `cpu` or `cuda:K`, for the block; no other process is on that GPU meanwhile.

    Of several :func:`possible_devices` it takes a free one, and waits where none is free. Raises ``error``.
    """
    with free_one(possible_devices(asked, addresses, setting=setting, error=error, own_machine=own_machine)) as device:
        try:
            yield device
        finally:
            if device != CPU:
                import torch

                # The next process would lack the memory that the allocator keeps for this one.
                torch.cuda.empty_cache()


@contextmanager
def lent(model: Movable, device: str) -> Iterator[None]:
    """Move ``model``, which lives in host memory, to ``device`` for the block."""
    if device == CPU:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(CPU)


def possible_devices(
    asked: str, addresses: Sequence[str], *, setting: str, error: type[RecsysError], own_machine: bool = False
) -> list[str]:
    """Return the devices on which a task may compute if its ``setting`` is ``asked`` (`auto`, `cpu`, `cuda`).

    ``addresses`` are the GPUs that Spark assigned to the task; the first counts. Without an address, `cuda` takes any
    GPU of the machine. `auto` does so on its ``own_machine`` (local mode), but not on a cluster, where the GPU may
    belong to others. Where `auto` leaves a GPU unused, a warning says so once per process. Raises ``error`` for `cuda`
    without CUDA and for an address that is not one of this process's GPUs.
    """
    if wants_cuda(asked, setting, error):
        import torch

        n_devices = torch.cuda.device_count()
        if addresses:
            index = cuda_index(addresses[0], os.environ.get("CUDA_VISIBLE_DEVICES"), n_devices, error)
            return [f"cuda:{index}"]
        if asked == "cuda" or own_machine:
            return [f"cuda:{index}" for index in range(n_devices)]
        _warn_once(
            f"{setting} is auto: this machine has a GPU, but Spark assigned none to the task; it runs on the CPU"
        )
    elif addresses and asked == "auto":
        _warn_once(
            f"{setting} is auto: Spark assigned a GPU to the task, but torch here has no CUDA; it runs on the CPU"
        )
    return [CPU]


def wants_cuda(asked: str, setting: str, error: type[RecsysError]) -> bool:
    """Return whether a task uses CUDA if its ``setting`` is ``asked`` (`auto`, `cpu`, `cuda`).

    Raises ``error`` where `cuda` is asked for and CUDA is not available.
    """
    import torch

    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise error(
            f"{setting} is cuda, and this machine has no usable CUDA device",
            where=setting,
            found=f"torch {torch.__version__}, torch.cuda.is_available() is False",
            expected="a GPU, its driver and a CUDA build of torch on every worker",
            action=f'set {setting} = "auto" or "cpu", or check the GPU resources of the workers',
        )
    return available and asked != "cpu"


def cuda_index(address: str, visible: str | None, n_devices: int, error: type[RecsysError]) -> int:
    """Return the K of `cuda:K` for the GPU that Spark calls ``address``; raises ``error``.

    ``visible`` is CUDA_VISIBLE_DEVICES, None where unset. If it lists the address, as a number or a UUID, K is the
    place in the list. Else K is the address itself, if it is the number of one of the ``n_devices`` that CUDA sees.
    Else, for a UUID, K is the only device.

    >>> cuda_index("7", "4, 7", 2, RecsysError), cuda_index("0", "4,7", 2, RecsysError)
    (1, 0)
    >>> cuda_index("3", None, 4, RecsysError)
    3
    """
    names = _names(visible)
    for place, name in enumerate(names):
        # CUDA accepts the beginning of a UUID.
        if name == address or (not name.isdigit() and address.startswith(name)):
            return place
    if address.isdigit() and int(address) < n_devices:
        return int(address)
    if not address.isdigit() and n_devices == 1:
        return 0
    raise error(
        "Spark assigned a GPU that this process cannot use",
        where=f"address {address!r}",
        found=f"CUDA_VISIBLE_DEVICES {'is not set' if visible is None else repr(visible)}, {n_devices} device(s)",
        expected="an address in CUDA_VISIBLE_DEVICES, or the index of a device",
        action="let the discovery script (deploy/gpus.sh) and the executors see the same GPUs",
    )


@contextmanager
def free_one(devices: Sequence[str]) -> Iterator[str]:
    """Lend one of ``devices`` that no other process of this user on this machine has; waits where none is free."""
    if devices[0] == CPU:
        yield CPU
        return
    locks = [os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600) for path in map(_lock_file, devices)]
    try:
        yield devices[_lock_one(locks, devices)]
    finally:
        for lock in locks:
            os.close(lock)


def _lock_one(locks: Sequence[int], devices: Sequence[str]) -> int:
    """Return the number of the lock that this process got; closing the file or ending the process releases it."""
    # Windows has no fcntl; Spark clusters do not run on it.
    import fcntl

    for number, lock in enumerate(locks):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return number
    number = os.getpid() % len(locks)
    log.warning("waiting for %s: another process is on it (%s)", devices[number], _lock_file(devices[number]))
    fcntl.flock(locks[number], fcntl.LOCK_EX)
    return number


def _lock_file(device: str) -> Path:
    """Return a path with the machine's name of the GPU, since processes may see different parts of the machine."""
    index = int(device.removeprefix("cuda:"))
    names = _names(os.environ.get("CUDA_VISIBLE_DEVICES"))
    name = names[index] if index < len(names) else str(index)
    return Path(tempfile.gettempdir()) / f"recsys-spark-{os.getuid()}-gpu-{name.replace('/', '-')}.lock"


def _names(visible: str | None) -> list[str]:
    return [name.strip() for name in (visible or "").split(",") if name.strip()]


def _warn_once(message: str) -> None:
    cached(("said", message), partial(log.warning, "%s", message))
