"""The driver behind test_killed_worker.py: scores on the cluster it is given, undisturbed and with a task that kills.

The same run is repeated with blocks of two sizes, all in one application.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sections import Score
from recsys_spark.scoring import score as score_stage
from recsys_spark.scoring.score import CatalogueSize
from recsys_spark.spark.session import create_session
from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS
from tests.slow.killing import PROPERTIES, Task, run_again, wait_for_executors, watched

N_USERS, N_ITEMS, WIDTH, TOP_N = 900, 100, 8, 7
# The catalogue in one block (lists are final in the worker) and in several (a shuffle and a window follow). Both have
# several blocks of users per task.
BLOCK_BYTES = {"one-block": 8192, "blocks": 2048}
KILLS = ("nothing", "worker", "executor")


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
