"""Scoring on a real cluster of two executors while a process of one of them dies: the rows are those of a quiet run.

The kill is no matter of timing: the first scoring task to have handed on a block of lists does it, in the middle of its
work, and once (killed_worker_job.py). `worker` is the Python process that scores: its task alone runs again. `executor`
is its JVM: what that executor had shuffled is lost, so that the stage before runs again as well.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.slow import killed_worker_job as job
from tests.slow.cluster import finished, standalone_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc"),
]
GONE_SECONDS = 60


@dataclass(frozen=True)
class Run:
    """What one run of the stage left behind."""

    rows: list[list[Any]]
    """[user_id, rank, item_id, score], in order"""
    run_again: list[int]
    """Stages that ran more than once."""
    finished: list[dict[str, Any]]
    """Notes of the scoring tasks that came to their end."""
    killed: dict[str, Any] | None
    """The note of the task that killed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Results of all runs, in one application; at the end no process of the cluster is left."""
    folder = tmp_path_factory.mktemp("killed")
    with standalone_cluster(folder / "spark", n_workers=job.N_EXECUTORS, cores=1, memory="1g") as cluster:
        command = [sys.executable, job.__file__, cluster.url, str(folder)]
        status, printed = finished(command, folder / "spark", folder, 600)
        assert status == 0, printed[-6000:]
        yield folder
    deadline = time.monotonic() + GONE_SECONDS
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that the folder's name was handed down to."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # somebody else's, or gone since
            continue
    return found


def run_of(folder: Path, blocks: str, kill: str) -> Run:
    notes = folder / f"{blocks}-{kill}"
    finished = [json.loads(file.read_text()) for file in notes.glob("finished-*")]
    killed = json.loads((notes / "killed").read_text()) if (notes / "killed").exists() else None
    return Run(**json.loads((notes / "result.json").read_text()), finished=finished, killed=killed)


@pytest.mark.parametrize("blocks", job.BLOCK_BYTES)
def test_undisturbed_run_scores_on_both_executors(folder: Path, blocks: str) -> None:
    """What the other tests compare with is a full result, made by as many processes and tasks as they need."""
    quiet = run_of(folder, blocks, "nothing")
    assert (quiet.killed, quiet.run_again) == (None, [])
    assert len({task["executor"] for task in quiet.finished}) == job.N_EXECUTORS
    assert sorted(task["partition"] for task in quiet.finished) == list(range(job.N_PARTITIONS))
    assert all(task["batches"] > 1 for task in quiet.finished), "a kill would not be in the middle"
    places = [(f"u{user:03}", rank) for user in range(job.N_USERS) for rank in range(1, job.TOP_N + 1)]
    assert [(user, rank) for user, rank, *_ in quiet.rows] == places


@pytest.mark.parametrize("blocks", job.BLOCK_BYTES)
@pytest.mark.parametrize("kill", ["worker", "executor"])
def test_killed_process_changes_no_row(folder: Path, kill: str, blocks: str) -> None:
    quiet, disturbed = run_of(folder, blocks, "nothing"), run_of(folder, blocks, kill)
    killed = disturbed.killed
    assert killed is not None
    assert killed["batches"] == 1
    again = [task for task in disturbed.finished if task["partition"] == killed["partition"]]
    assert again, "the task that died came to no end"
    assert all(task["launch"] > killed["launch"] and task["batches"] > 1 for task in again)
    assert killed[kill] not in {task[kill] for task in again}
    if kill == "worker":
        assert [task["attempt"] for task in again] == [1]
        assert disturbed.run_again == []
    else:
        assert any(stage < killed["stage"] for stage in disturbed.run_again), "nothing that was shuffled was lost"

    assert [row[:3] for row in disturbed.rows] == [row[:3] for row in quiet.rows]
    np.testing.assert_allclose([row[3] for row in disturbed.rows], [row[3] for row in quiet.rows], rtol=0, atol=1e-5)
