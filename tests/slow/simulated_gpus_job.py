"""The driver behind test_simulated_gpus.py: CPU work, the embed stage on the GPUs that Spark assigns, CPU work again.

Run as a script, so that its functions travel to the executors by value: they need not find this file.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding import embed as embed_stage
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.spark.gpus import EXECUTOR_AMOUNT, gpu_profile
from recsys_spark.spark.session import create_session, task_threads

N_TEXTS, N_TASKS = 1024, 16
N_WORKERS, CORES, GPUS = 2, 4, 2
MEET_SECONDS = 30
COMMON = {
    "spark.executor.memory": "600m",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.shuffle.partitions": str(N_WORKERS * CORES),
    EXECUTOR_AMOUNT: str(GPUS),
}
KINDS = {
    # One executor per worker, with all its cores and GPUs.
    "fixed": {"spark.executor.cores": str(CORES)},
    # One without GPUs per worker, and room beside it for one with GPUs.
    "dynamic": {
        "spark.executor.cores": str(CORES // 2),
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": str(N_WORKERS),
        "spark.dynamicAllocation.maxExecutors": str(N_WORKERS),
    },
}
Task = Callable[..., Iterator[pa.RecordBatch]]


def noted(task: Task, phase: str, notes: Path, n_wanted: int) -> Task:
    """``task`` with a note of each run.

    It begins only when ``n_wanted`` tasks (on GPUs: addresses) have run or are running.

    The waiting ends after a while, so that a stage without that many at once fails its test and does not hang.
    """

    def run(batches: Iterator[pa.RecordBatch], *arguments: Any, **named: Any) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        given = context.resources().get("gpu")
        addresses = list(given.addresses) if given else []
        note: dict[str, Any] = {
            "partition": context.partitionId(),
            "addresses": addresses,
            "cpus": context.cpus(),
            "process": os.getpid(),
            "executor": executor_pid(),
            "start": time.monotonic(),
        }
        met = notes / f"{phase}-met"
        met.mkdir(exist_ok=True)
        (met / ("-".join(addresses) or str(context.taskAttemptId()))).touch()
        deadline = note["start"] + MEET_SECONDS
        while len(list(met.iterdir())) < n_wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        yield from task(batches, *arguments, **named)
        note["end"] = time.monotonic()
        (notes / f"{phase}-{context.taskAttemptId()}.json").write_text(json.dumps(note))

    def executor_pid() -> int:
        """The parent of the daemon that forked this process."""
        stat = Path(f"/proc/{os.getppid()}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])

    return run


def same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def embedded(texts: DataFrame, spark: SparkSession, encoder: Path, notes: Path) -> DataFrame:
    """The stage itself, with notes of its tasks."""
    # On a processor with instructions for int8, `auto` would be that, which computes on CPUs.
    spec = resolve_encoder(Encoder(model=str(encoder), device="auto", backend="torch-float32", max_length=16))
    plain = embed_stage.encode_buckets
    embed_stage.encode_buckets = noted(plain, "embed", notes, N_WORKERS * GPUS)
    try:
        return embed_stage.build_embeddings(
            texts,
            spec,
            n_texts=N_TEXTS,
            n_threads=task_threads(spark),
            profile=gpu_profile(spark, "embed", spec.device),
        )
    finally:
        embed_stage.encode_buckets = plain


def main(master: str, kind: str, encoder: Path, notes: Path) -> None:
    """Write notes of all tasks to ``notes``, and to `result.json` how many distinct texts have a vector of length 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("recsys_spark").setLevel(logging.INFO)
    spark = create_session({"spark.master": master, **COMMON, **KINDS[kind]}, app_name=f"simulated GPUs {kind}")
    slots = N_WORKERS * int(KINDS[kind]["spark.executor.cores"])
    on_cpus = partial(noted, same, notes=notes, n_wanted=slots)
    texts = spark.range(0, N_TEXTS, 1, slots).select(
        F.sha2(F.col("id").cast("string"), 256).alias("content_hash"), F.concat(F.lit("red wool "), "id").alias("text")
    )
    texts = texts.mapInArrow(on_cpus(phase="before"), texts.schema)
    vectors = embedded(texts, spark, encoder, notes)
    after = vectors.repartition(slots, "content_hash")
    norm = F.aggregate("vector", F.lit(0.0), lambda total, x: total + x * x)
    counted = after.mapInArrow(on_cpus(phase="after"), after.schema).where(F.abs(norm - 1) < 1e-3)
    result = {"rows": counted.select("content_hash").distinct().count(), "app": spark.sparkContext.applicationId}
    (notes / "result.json").write_text(json.dumps(result))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
