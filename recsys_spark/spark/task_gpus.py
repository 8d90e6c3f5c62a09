"""The GPUs that Spark assigned to the task that asks."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark import TaskContext


def assigned_gpus() -> Sequence[str]:
    """Their addresses; none where the stage brought no profile that asks for GPUs, and outside tasks."""
    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context else None
    return gpus.addresses if gpus else ()
