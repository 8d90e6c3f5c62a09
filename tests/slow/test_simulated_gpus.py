"""The embed stage on a real cluster whose workers announce GPUs that do not exist: how Spark hands them out is real.

Two workers with four cores and two GPUs each, numbered through, so that an address is one GPU of the cluster.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.slow import simulated_gpus_job as job
from tests.slow.cluster import Cluster, finished, standalone_cluster
from tests.tiny_encoder import tiny_encoder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="executors are looked up in /proc"),
]
GPUS_SH = Path(__file__).parents[2] / "deploy" / "gpus.sh"


def discovery(folder: Path, worker: int) -> dict[str, str]:
    """The worker's properties: deploy/gpus.sh, which finds an nvidia-smi that lists this worker's GPUs."""
    bin_folder = folder / f"gpus-of-{worker}"
    bin_folder.mkdir(parents=True)
    lines = [f"GPU {worker * job.GPUS + n}: Simulated (UUID: GPU-{worker}-{n})" for n in range(job.GPUS)]
    scripts = {
        "nvidia-smi": "\n".join(f"echo '{line}'" for line in lines),
        "discover": f"unset CUDA_VISIBLE_DEVICES; PATH={bin_folder}:$PATH exec {GPUS_SH}",
    }
    for name, text in scripts.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    return {
        "spark.worker.resource.gpu.amount": str(job.GPUS),
        "spark.worker.resource.gpu.discoveryScript": str(bin_folder / "discover"),
    }


@dataclass(frozen=True)
class Run:
    """Notes of the tasks of one application by phase, the rows with a vector, and what driver and executors logged."""

    before: list[dict[str, Any]]
    embed: list[dict[str, Any]]
    after: list[dict[str, Any]]
    rows: int
    log: str
    executors: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gpus")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    properties = [discovery(folder, worker) for worker in range(job.N_WORKERS)]
    with standalone_cluster(
        folder / "spark", n_workers=job.N_WORKERS, cores=job.CORES, memory="2g", worker_properties=properties
    ) as running:
        yield running


@pytest.fixture(scope="module", params=job.KINDS)
def run(request: pytest.FixtureRequest, cluster: Cluster, folder: Path) -> Run:
    kind = request.param
    notes = folder / kind
    notes.mkdir()
    encoder = tiny_encoder(folder, name=f"encoder-{kind}")
    command = [sys.executable, job.__file__, cluster.url, kind, str(encoder), str(notes)]
    status, printed = finished(command, folder / "spark", folder, 400)
    assert status == 0, printed[-6000:]
    phases = {
        phase: [json.loads(file.read_text()) for file in notes.glob(f"{phase}-*.json")]
        for phase in ("before", "embed", "after")
    }
    result = json.loads((notes / "result.json").read_text())
    logs = (folder / "spark" / "work" / result["app"]).glob("*/stderr")
    return Run(**phases, rows=result["rows"], log=printed, executors="".join(file.read_text() for file in logs))


def test_every_text_is_embedded_by_as_many_tasks_as_planned(run: Run) -> None:
    assert run.rows == job.N_TEXTS
    assert sorted(task["partition"] for task in run.embed) == list(range(job.N_TASKS))


def test_no_task_of_the_stage_runs_without_an_address_or_with_two(run: Run) -> None:
    assert {len(task["addresses"]) for task in run.embed} == {1}


def test_every_gpu_is_used(run: Run) -> None:
    assert {task["addresses"][0] for task in run.embed} == {str(n) for n in range(job.N_WORKERS * job.GPUS)}


def test_a_gpu_is_used_by_one_process_at_a_time(run: Run) -> None:
    for address in {task["addresses"][0] for task in run.embed}:
        tasks = sorted((t for t in run.embed if t["addresses"] == [address]), key=lambda t: t["start"])
        assert all(one["end"] <= next_one["start"] for one, next_one in pairwise(tasks)), tasks


def test_other_stages_hold_no_gpu(run: Run) -> None:
    assert {len(task["addresses"]) for task in run.before + run.after} == {0}


def test_other_stages_run_on_all_cores(run: Run) -> None:
    for tasks in (run.before, run.after):
        assert at_once(tasks) == len({task["partition"] for task in tasks})
    if "started for it" not in run.log:
        assert at_once(run.before) > job.N_WORKERS * job.GPUS


def test_task_on_a_gpu_has_its_share_of_the_cores(run: Run) -> None:
    dynamic = "started for it" in run.log
    assert {task["cpus"] for task in run.embed} == {1 if dynamic else job.CORES // job.GPUS}


def test_executors_with_gpus_come_for_the_stage_only_under_dynamic_allocation(run: Run) -> None:
    with_gpus = {task["executor"] for task in run.embed}
    without = {task["executor"] for task in run.before + run.after}
    assert len(with_gpus) == job.N_WORKERS
    if "started for it" in run.log:
        assert not with_gpus & without
    else:
        assert with_gpus == without


def test_log_says_how_the_stage_gets_its_gpus(run: Run) -> None:
    assert "embed: one GPU and" in run.log


@pytest.mark.skipif(torch.cuda.is_available(), reason="here torch takes the simulated addresses for real ones")
def test_each_process_says_once_that_torch_cannot_use_the_gpu_it_was_given(run: Run) -> None:
    processes = {task["process"] for task in run.embed}
    assert run.executors.count("but torch here has no CUDA") == len(processes)


def at_once(tasks: list[dict[str, Any]]) -> int:
    """The most tasks that ran at the same time."""
    return max(sum(other["start"] <= task["start"] < other["end"] for other in tasks) for task in tasks)
