"""Tasks that kill a process: shared by the jobs of the killed-worker tests, and by the tests that read their notes.

Nested functions travel to the executors by value, so executors need not find this file.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

N_EXECUTORS, START_SECONDS = 2, 120
N_PARTITIONS = 4
PROPERTIES = {
    "spark.sql.shuffle.partitions": str(N_PARTITIONS),
    "spark.executor.memory": "512m",
    # So little data would go to one task.
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    # What a dead executor has shuffled is out of reach, as on a machine of its own.
    "spark.shuffle.readHostLocalDisk": "false",
    "spark.shuffle.io.maxRetries": "0",
}
Task = Callable[..., Iterator[pa.RecordBatch]]


def watched(task: Task, kill: str, notes: Path, *, n_finished: int = 0) -> Task:
    """``task`` with a note of each run in ``notes``. The first run in the middle of its work kills ``kill``, once.

    `worker` is the Python process, `executor` its JVM, `driver` all of spark-submit. In the middle: rows have been
    handed on, the next ones are made, and ``n_finished`` other tasks have finished. A second attempt must neither lose
    nor repeat what the first has handed on.
    """
    kill_once, create, executor_pid = killer(kill, notes), creator(), executor_finder()

    def run(batches: Iterator[pa.RecordBatch], *arguments: Any, **named: Any) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        about: dict[str, Any] = {
            "stage": context.stageId(),
            "partition": context.partitionId(),
            "attempt": context.attemptNumber(),
            "launch": context.taskAttemptId(),
            "worker": os.getpid(),
            "executor": executor_pid(),
            "batches": 0,
        }
        for rows in task(batches, *arguments, **named):
            if kill != "nothing" and about["batches"]:
                before = sorted(file.name for file in notes.glob("finished-*"))
                if len(before) >= n_finished:
                    kill_once({**about, "before": before})
            about["batches"] += 1
            yield rows
        create(notes / f"finished-{context.taskAttemptId()}", json.dumps(about))

    return run


# Each of these returns a nested function, which travels by value; a function of this module would travel by name.


def killer(kill: str, notes: Path) -> Callable[[dict[str, Any]], None]:
    """Return the function that notes who kills and kills; the second caller does nothing."""
    driver, create = submitting_group() if kill == "driver" else 0, creator()

    def kill_once(about: dict[str, Any]) -> None:
        if not create(notes / "killed", json.dumps(about)):
            return
        if kill == "driver":
            # The executors are left to themselves, and this task goes on for as long as it can.
            os.killpg(driver, signal.SIGKILL)
            return
        if kill == "executor":
            os.kill(about["executor"], signal.SIGKILL)
        # With the executor too: a worker that outlives it must not go on.
        os.kill(os.getpid(), signal.SIGKILL)

    return kill_once


def creator() -> Callable[[Path, str], bool]:
    """Return the function that writes a file and says whether it was not there before."""

    def create(file: Path, text: str) -> bool:
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
        return True

    return create


def executor_finder() -> Callable[[], int]:
    """Return the function that finds the nearest ancestor that is an executor; nothing else may be killed."""

    def executor_pid() -> int:
        pid = os.getpid()
        while pid > 1:
            if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
            # The name, in parentheses, may hold spaces; the state and the parent follow it.
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        raise AssertionError("this task does not run in an executor")

    return executor_pid


def submitting_group() -> int:
    """The process group of this driver, which must be led by spark-submit; nothing else may be killed."""
    group = os.getpgrp()
    assert b"SparkSubmit" in Path(f"/proc/{group}/cmdline").read_bytes(), "this driver has no group of its own"
    return group


def wait_for_executors(spark: SparkSession) -> None:
    """Return when both are there, one of them perhaps in place of a dead one: then each gets a task of every stage."""
    deadline = time.monotonic() + START_SECONDS
    # The driver counts itself.
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() != N_EXECUTORS + 1:
        assert time.monotonic() < deadline, f"{N_EXECUTORS} executors did not come"
        time.sleep(0.1)


def run_again(spark: SparkSession, group: str) -> list[int]:
    """Ids of the stages of a job group that ran more than once."""
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    return sorted({stage.stageId for stage in stages if stage and stage.currentAttemptId > 0})


@dataclass(frozen=True)
class Run:
    """What one run of a watched stage left behind."""

    result: dict[str, Any]
    """What its driver wrote; empty where that was killed."""
    finished: list[dict[str, Any]]
    """Notes of the tasks that came to their end."""
    killed: dict[str, Any] | None
    """The note of the task that killed, with `before`: the names of the notes of those that had finished."""

    @property
    def again(self) -> list[dict[str, Any]]:
        """The finished tasks on the partition of the one that killed."""
        assert self.killed is not None, "nothing was killed"
        return [task for task in self.finished if task["partition"] == self.killed["partition"]]


def read_run(notes: Path) -> Run:
    """The run whose notes are in this folder."""

    def read(file: Path) -> dict[str, Any]:
        return dict(json.loads(file.read_text()))

    result, killed = notes / "result.json", notes / "killed"
    return Run(
        read(result) if result.exists() else {},
        [read(file) for file in notes.glob("finished-*")],
        read(killed) if killed.exists() else None,
    )
