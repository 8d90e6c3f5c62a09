"""Scoring on a real cluster of two executors while a process of one of them dies: the rows are those of a quiet run.

The kill is no matter of timing: the first scoring task to have handed on a block of lists does it, in the middle of its
work, and once (killing.py). `worker` is the Python process that scores: its task alone runs again. `executor`
is its JVM: what that executor had shuffled is lost, so that the stage before runs again as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.slow import killed_worker_job as job
from tests.slow.cluster import NEEDS_PROC, job_finished, nothing_left, standalone_cluster
from tests.slow.killing import N_EXECUTORS, N_PARTITIONS, Run, read_run

pytestmark = [pytest.mark.slow, NEEDS_PROC]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Results of all runs, in one application; at the end no process of the cluster is left."""
    folder = tmp_path_factory.mktemp("killed")
    with standalone_cluster(folder / "spark", n_workers=N_EXECUTORS, cores=1, memory="1g") as cluster:
        job_finished(job, cluster.url, folder, spark=folder / "spark", seconds=600)
        yield folder
    nothing_left(folder)


def run_of(folder: Path, blocks: str, kill: str) -> Run:
    return read_run(folder / f"{blocks}-{kill}")


@pytest.mark.parametrize("blocks", job.BLOCK_BYTES)
def test_undisturbed_run_scores_on_both_executors(folder: Path, blocks: str) -> None:
    """What the other tests compare with is a full result, made by as many processes and tasks as they need."""
    quiet = run_of(folder, blocks, "nothing")
    assert (quiet.killed, quiet.result["run_again"]) == (None, [])
    assert len({task["executor"] for task in quiet.finished}) == N_EXECUTORS
    assert sorted(task["partition"] for task in quiet.finished) == list(range(N_PARTITIONS))
    assert all(task["batches"] > 1 for task in quiet.finished), "a kill would not be in the middle"
    places = [(f"u{user:03}", rank) for user in range(job.N_USERS) for rank in range(1, job.TOP_N + 1)]
    assert [(user, rank) for user, rank, *_ in quiet.result["rows"]] == places


@pytest.mark.parametrize("blocks", job.BLOCK_BYTES)
@pytest.mark.parametrize("kill", ["worker", "executor"])
def test_killed_process_changes_no_row(folder: Path, kill: str, blocks: str) -> None:
    quiet, disturbed = run_of(folder, blocks, "nothing"), run_of(folder, blocks, kill)
    killed, again = disturbed.killed, disturbed.again
    assert killed is not None
    assert killed["batches"] == 1
    assert again, "the task that died came to no end"
    assert all(task["launch"] > killed["launch"] and task["batches"] > 1 for task in again)
    assert killed[kill] not in {task[kill] for task in again}
    if kill == "worker":
        assert [task["attempt"] for task in again] == [1]
        assert disturbed.result["run_again"] == []
    else:
        stages = disturbed.result["run_again"]
        assert any(stage < killed["stage"] for stage in stages), "nothing that was shuffled was lost"

    rows, expected = disturbed.result["rows"], quiet.result["rows"]
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    np.testing.assert_allclose([row[3] for row in rows], [row[3] for row in expected], rtol=0, atol=1e-5)
