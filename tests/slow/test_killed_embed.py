"""Embedding on a real cluster of two executors while a process dies: every text has its vector, once and to the bit.

The kill does not depend on timing (killing.py): a task does it once, after other tasks have finished. It has then
handed on one bucket and encoded the next. `worker` is the Python process that encodes, and `executor` its JVM. `driver`
is all of spark-submit: its executors are left to themselves, and the same command runs again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.small_shop import KINDS, write_csv, write_shop
from tests.slow import killed_embed_job as job
from tests.slow.cluster import NEEDS_PROC, job_finished, nothing_left, standalone_cluster
from tests.slow.killing import N_EXECUTORS, Run, read_run

pytestmark = [pytest.mark.slow, NEEDS_PROC]
N_ITEMS, N_TEXTS, N_BUCKETS = 1200, 1202, 16
"""Every item has a text of its own, and so have the tags jazz and game."""
KILLED = -9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Results of all runs; at the end no process of the cluster is left."""
    folder = tmp_path_factory.mktemp("killed")
    config = write_shop(folder)
    items = [(f"i{n:02}", KINDS[n % 2], f"{'blue album' if n % 3 else 'space game'} {n}") for n in range(N_ITEMS)]
    write_csv(folder / "items.csv", ["item", "kind", "name"], items)
    spark = folder / "spark"
    with standalone_cluster(spark, n_workers=N_EXECUTORS, cores=1, memory="1g") as cluster:
        runs = [f"{kill}={kill}" for kill in ("nothing", "worker", "executor")]
        job_finished(job, cluster.url, config, *runs, spark=spark, seconds=900)
        job_finished(job, cluster.url, config, "driver=driver", spark=spark, seconds=600, submit=True, status=KILLED)
        job_finished(job, cluster.url, config, "again=nothing", spark=spark, seconds=600, submit=True)
        yield folder
    nothing_left(folder)


def check_embeddings(quiet: Run, run: Run) -> None:
    """Each text of the profiles once, with the bits of the undisturbed run."""
    assert [content_hash for content_hash, _ in run.result["rows"]] == run.result["texts"]
    assert run.result["n_encoded"] == N_TEXTS
    assert run.result["rows"] == quiet.result["rows"]


def test_undisturbed_run_encodes_on_both_executors_in_many_tasks(folder: Path) -> None:
    """What the other tests compare with is a full result, made by as many processes and tasks as they need."""
    quiet = read_run(folder / "nothing")
    assert (quiet.killed, quiet.result["run_again"]) == (None, [])
    assert quiet.result["before"] == {"begun": 0, "vectors": 0, "finished": False}
    assert len({task["executor"] for task in quiet.finished}) == N_EXECUTORS
    assert len({task["partition"] for task in quiet.finished}) == len(quiet.finished) > 2 * job.N_FINISHED
    assert sum(task["batches"] for task in quiet.finished) == N_BUCKETS
    assert max(task["batches"] for task in quiet.finished) > 1, "no kill would be in the middle"
    assert len(quiet.result["texts"]) == N_TEXTS
    check_embeddings(quiet, quiet)


@pytest.mark.parametrize("kill", ["worker", "executor"])
def test_killed_process_loses_and_doubles_no_text(folder: Path, kill: str) -> None:
    quiet, disturbed = read_run(folder / "nothing"), read_run(folder / kill)
    killed, again = disturbed.killed, disturbed.again
    assert killed is not None
    assert killed["batches"] > 0
    assert again, "the task that died came to no end"
    assert all(task["launch"] > killed["launch"] and task["batches"] > killed["batches"] for task in again)
    assert killed[kill] not in {task[kill] for task in again}
    before = [task for task in disturbed.finished if f"finished-{task['launch']}" in killed["before"]]
    assert len(before) >= job.N_FINISHED
    assert killed["partition"] not in {task["partition"] for task in before}
    if kill == "worker":
        assert [task["attempt"] for task in again] == [1]
        assert len(disturbed.finished) == len(quiet.finished), "a task that was through ran again"
        assert len({task["partition"] for task in disturbed.finished}) == len(quiet.finished)
        assert disturbed.result["run_again"] == []
    else:
        stages = disturbed.result["run_again"]
        assert any(stage < killed["stage"] for stage in stages), "nothing that was shuffled was lost"
    check_embeddings(quiet, disturbed)


def test_after_a_killed_driver_nothing_half_written_is_seen_and_the_next_run_finishes(folder: Path) -> None:
    quiet, dead, again = (read_run(folder / name) for name in ("nothing", "driver", "again"))
    assert dead.killed is not None
    assert dead.killed["batches"] > 0
    assert dead.result == {}
    assert len(dead.finished) >= job.N_FINISHED
    assert again.result["before"] == {"begun": 1, "vectors": 0, "finished": False}
    assert again.killed is None
    assert sum(task["batches"] for task in again.finished) == N_BUCKETS
    check_embeddings(quiet, again)
