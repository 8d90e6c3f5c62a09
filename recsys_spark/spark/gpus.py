"""Decides on the driver which GPUs Spark is asked for: only the stages that use GPUs get them.

`spark.task.resource.gpu.amount` would limit every stage to one task per GPU. So that property stays unset, and a stage
that computes on GPUs brings its own resource profile (Spark's stage-level scheduling):

- With a fixed number of executors it is a task profile. The executors have GPUs all night; only this stage's tasks ask
  for one.
- With dynamic allocation it is a full profile. Executors with GPUs start for this stage and stop when they idle; other
  executors have none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pyspark.resource import ExecutorResourceRequests, ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession

from recsys_spark.errors import ConfigError
from recsys_spark.spark.driver import properties_of

log = logging.getLogger("recsys_spark")

EXECUTOR_AMOUNT = "spark.executor.resource.gpu.amount"
EXECUTOR_SCRIPT = "spark.executor.resource.gpu.discoveryScript"
EXECUTOR_VENDOR = "spark.executor.resource.gpu.vendor"
TASK_AMOUNT = "spark.task.resource.gpu.amount"
STAGE_AMOUNT = "spark.recsys.gpu.amount"
"""Ours: GPUs of an executor that dynamic allocation starts for a stage that uses them."""
DYNAMIC = "spark.dynamicAllocation.enabled"
STAGE_LEVEL = ("spark://", "local-cluster", "yarn", "k8s://")
"""Masters under which a stage may have resources of its own."""


@dataclass(frozen=True)
class GpuPlan:
    """How a stage gets its GPUs, and why: by a profile for tasks, by one for tasks and executors, or not at all."""

    kind: Literal["none", "tasks", "executors"]
    why: str
    gpus: int = 0
    """Per executor."""
    cpus: int = 1
    """Per task, which has one GPU."""


def only_where_used(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties to change so that under dynamic allocation only the stages on GPUs hold GPUs."""
    if _amount(properties, EXECUTOR_AMOUNT) and not _amount(properties, TASK_AMOUNT) and _is_dynamic(properties):
        return {EXECUTOR_AMOUNT: "0", STAGE_AMOUNT: properties[EXECUTOR_AMOUNT]}
    return {}


def gpu_plan(properties: Mapping[str, str], device: str) -> GpuPlan:
    """Return how a stage with this ``device`` setting gets its GPUs. Raises ConfigError where the settings cannot work.

    >>> gpus = {"spark.executor.resource.gpu.amount": "2", "spark.executor.cores": "8"}
    >>> gpu_plan({"spark.master": "yarn", **gpus}, "auto")
    GpuPlan(kind='tasks', why='one GPU and 4 cores per task, in executors with 2 GPUs', gpus=2, cpus=4)
    """
    if why_none := _why_none(properties, device):
        return GpuPlan("none", why_none)
    dynamic = _is_dynamic(properties)
    gpus = _amount(properties, EXECUTOR_AMOUNT) or _amount(properties, STAGE_AMOUNT)
    if not dynamic and not _amount(properties, EXECUTOR_AMOUNT):
        raise ConfigError(
            "Executors with GPUs for one stage need dynamic allocation",
            where=STAGE_AMOUNT,
            found=f"{DYNAMIC} is not true",
            expected="dynamic allocation, or GPUs in all executors",
            action=f"Set {DYNAMIC}=true, or {EXECUTOR_AMOUNT} instead of {STAGE_AMOUNT}.",
        )
    cores = properties.get("spark.executor.cores")
    if dynamic and cores is None and properties["spark.master"].startswith("spark://"):
        raise ConfigError(
            "Without a number of cores one executor takes a whole standalone worker, and one with a GPU does not fit",
            where="spark.executor.cores",
            found="not set, with dynamic allocation and GPUs",
            expected="cores per executor, so that executors with and without GPUs fit on the workers",
            action="Set spark.executor.cores, or spark.dynamicAllocation.enabled=false; see docs/gpu.md.",
        )
    # Where the number is not set, a guess that is too high would wait for ever.
    cpus = max(int(properties.get("spark.task.cpus", "1")), int(cores or 1) // gpus)
    one = f"one GPU and {cpus} core{'s' if cpus > 1 else ''} per task"
    several = f"{gpus} GPU{'s' if gpus > 1 else ''}"
    if dynamic:
        return GpuPlan("executors", f"{one}, in executors with {several} that are started for it", gpus, cpus)
    return GpuPlan("tasks", f"{one}, in executors with {several}", gpus, cpus)


def check_gpus(spark: SparkSession, device: str) -> None:
    """Raise ConfigError where a stage with this ``device`` setting cannot get its GPUs as Spark is configured."""
    gpu_plan(properties_of(spark), device)


def on_gpus(spark: SparkSession, device: str) -> bool:
    """Return whether a stage with this ``device`` setting will compute on GPUs, as far as the driver can tell."""
    if device != "auto":
        return device == "cuda"
    properties = properties_of(spark)
    if properties.get("spark.master", "").split("[")[0] == "local":
        import torch

        return torch.cuda.is_available()
    return gpu_plan(properties, device).kind != "none" or _amount(properties, TASK_AMOUNT) > 0


def _why_none(properties: Mapping[str, str], device: str) -> str | None:
    """Return why a stage does not ask Spark for GPUs; None where it does ask."""
    master = properties.get("spark.master", "")
    if device == "cpu":
        return "on the CPU, as configured"
    if master.split("[")[0] == "local":
        return "local mode, where Spark assigns no GPUs"
    if _amount(properties, TASK_AMOUNT):
        return f"every task of every stage asks for a GPU ({TASK_AMOUNT})"
    if not _amount(properties, EXECUTOR_AMOUNT) and not _amount(properties, STAGE_AMOUNT):
        return f"no GPU asked of Spark ({EXECUTOR_AMOUNT})"
    if not master.startswith(STAGE_LEVEL):
        return f"{master} cannot give a stage resources of its own; set {TASK_AMOUNT} to use its GPUs"
    return None


def why_on_cpu(master: str, asked: str, device: str, backend: str) -> str | None:
    """Return why an encoder computes on the CPU where the plan cannot know it; else None.

    Either this machine has no GPU, or the backend is for the CPU only.

    ``asked`` is the setting, ``device`` what the backend left of it.

    >>> why_on_cpu("yarn", "auto", "cpu", "int8")
    'on the CPU, because int8 computes there only'
    """
    if asked == "auto" and master.split("[", maxsplit=1)[0] == "local":
        import torch

        if not torch.cuda.is_available():
            return "on the CPU: torch here has no CUDA"
    return f"on the CPU, because {backend} computes there only" if device != asked else None


def gpu_profile(spark: SparkSession, stage: str, device: str, why: str | None = None) -> ResourceProfile | None:
    """Return the ``profile`` of a stage's `mapInArrow`, None where it needs none; log which and why.

    ``why`` is what to log where the caller knows better than the plan. Raises ConfigError as :func:`gpu_plan` does.
    """
    properties = properties_of(spark)
    plan = gpu_plan(properties, device)
    log.info("%s: %s", stage, why or plan.why)
    if plan.kind == "none":
        return None
    builder = ResourceProfileBuilder().require(TaskResourceRequests().cpus(plan.cpus).resource("gpu", 1))
    if plan.kind == "executors":
        builder = builder.require(executor_requests(properties, plan.gpus))
    profile = builder.build
    # Executors serve one profile by its number, so a stage must use the profile of an earlier stage like it.
    manager = spark.sparkContext._jsc.sc().resourceProfileManager()
    known = manager.getEquivalentProfile(profile._java_resource_profile)
    return ResourceProfile(_java_resource_profile=known.get()) if known.isDefined() else profile


def executor_requests(properties: Mapping[str, str], gpus: int) -> ExecutorResourceRequests:
    """Return a request for executors like those of ``properties``, with GPUs."""
    script, vendor = properties.get(EXECUTOR_SCRIPT, ""), properties.get(EXECUTOR_VENDOR, "")
    requests = ExecutorResourceRequests().resource("gpu", gpus, script, vendor)
    if "spark.executor.cores" in properties:
        requests = requests.cores(int(properties["spark.executor.cores"]))
    for key, request in (
        ("spark.executor.memory", requests.memory),
        ("spark.executor.memoryOverhead", requests.memoryOverhead),
        ("spark.executor.pyspark.memory", requests.pysparkMemory),
    ):
        if key in properties:
            request(properties[key])
    return requests


def _amount(properties: Mapping[str, str], key: str) -> int:
    return int(float(properties.get(key) or 0) + 0.999)


def _is_dynamic(properties: Mapping[str, str]) -> bool:
    return properties.get(DYNAMIC, "false").lower() == "true"
