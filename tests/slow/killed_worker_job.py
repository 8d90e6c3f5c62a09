"""The driver behind test_killed_worker.py: scores on the cluster it is given, undisturbed and with a task that kills.

Run as a script, so that its functions travel to the executors by value: they need not find this file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config import Score
from recsys_spark.session import create_session
from recsys_spark.stages import score as score_stage
from recsys_spark.stages.score import CatalogueSize
from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS

N_USERS, N_ITEMS, WIDTH, TOP_N, N_PARTITIONS = 900, 100, 8, 7, 4
# The catalogue in one block (lists final in the worker) and in several (a shuffle and a window follow), and some blocks of
# users per task in both.
BLOCK_BYTES = {"one-block": 8192, "blocks": 2048}
KILLS = ("nothing", "worker", "executor")
N_EXECUTORS, START_SECONDS = 2, 120
PROPERTIES = {
    "spark.executor.memory": "512m",
    "spark.sql.shuffle.partitions": str(N_PARTITIONS),
    # So little data would be scored by one task.
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    # What a dead executor has shuffled is out of reach, as on a machine of its own.
    "spark.shuffle.readHostLocalDisk": "false",
    "spark.shuffle.io.maxRetries": "0",
}
Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def watched(task: Task, kill: str, notes: Path) -> Task:
    """``task`` with a note of each run in ``notes``; the first one to have emitted a block of lists kills ``kill``.

    By then it has folded a user block and its rows have been handed on, while further blocks wait: the rows that a
    second attempt must neither lose nor repeat.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
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
        for rows in task(batches):
            about["batches"] += 1
            yield rows
            if kill != "nothing" and first_to_create(notes / "killed", json.dumps(about)):
                if kill == "executor":
                    os.kill(about["executor"], signal.SIGKILL)
                # With the executor too: a worker that outlives it must not go on.
                os.kill(os.getpid(), signal.SIGKILL)
        first_to_create(notes / f"finished-{context.taskAttemptId()}", json.dumps(about))

    def first_to_create(file: Path, text: str) -> bool:
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
        return True

    def executor_pid() -> int:
        """The nearest ancestor that is an executor; nothing else may be killed."""
        pid = os.getpid()
        while pid > 1:
            if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
            # The name, in parentheses, may hold spaces; the state and the parent follow it.
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        raise AssertionError("this task runs in no executor")

    return run


def world(spark: SparkSession) -> tuple[DataFrame, DataFrame, DataFrame]:
    """User vectors, item vectors and exclusions drawn at random."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(N_USERS, WIDTH)).astype(np.float32).tolist()
    y, theta = rng.normal(size=(2, N_ITEMS, WIDTH)).astype(np.float32).tolist()
    bias, available = rng.normal(size=N_ITEMS).tolist(), (rng.random(N_ITEMS) > 0.1).tolist()
    users, items = [f"u{i:03}" for i in range(N_USERS)], [f"i{j:03}" for j in range(N_ITEMS)]
    seen = [(users[i], items[j]) for i, j in np.argwhere(rng.random((N_USERS, N_ITEMS)) < 0.05)]
    return (
        frame(spark, USER_VECTORS.schema, {"user_id": users, "x": x, "source": ["history"] * N_USERS}),
        frame(
            spark,
            ITEM_VECTORS.schema,
            {"item_id": items, "y": y, "theta": theta, "bias": bias, "available": available},
        ),
        spark.createDataFrame(seen, "user_id string, item_id string"),
    )


def frame(spark: SparkSession, schema: Any, columns: dict[str, list[Any]]) -> DataFrame:
    n = len(next(iter(columns.values())))
    return spark.createDataFrame(
        [tuple(columns[name][row] if name in columns else None for name in schema.names) for row in range(n)], schema
    )


def lists(spark: SparkSession, blocks: str, kill: str, notes: Path) -> list[list[Any]]:
    """Rows [user_id, rank, item_id, score] of the stage, in order."""
    plain = score_stage.scorer

    def scorer(score_cfg: Score, n: int, *, whole: bool) -> Task:
        return watched(plain(score_cfg, n, whole=whole), kill, notes)

    score_stage.scorer = scorer
    try:
        candidates = score_stage.build_candidates(
            *world(spark),
            Score(max_block_bytes=BLOCK_BYTES[blocks]),
            n=TOP_N,
            catalogue=CatalogueSize(N_ITEMS, WIDTH),
        )
    finally:
        score_stage.scorer = plain
    return sorted([row.user_id, row.rank, row.item_id, row.score] for row in candidates.collect())


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


def main(master: str, folder: Path) -> None:
    """Write what each run gave to `result.json` in a folder of its own, beside the notes of its tasks."""
    spark = create_session({"spark.master": master, **PROPERTIES}, app_name="killed worker")
    for blocks in BLOCK_BYTES:
        for kill in KILLS:
            notes = folder / f"{blocks}-{kill}"
            notes.mkdir()
            wait_for_executors(spark)
            spark.sparkContext.setJobGroup(notes.name, "")
            rows = lists(spark, blocks, kill, notes)
            result = {"rows": rows, "run_again": run_again(spark, notes.name)}
            (notes / "result.json").write_text(json.dumps(result))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
