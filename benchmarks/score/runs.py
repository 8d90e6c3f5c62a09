"""The scoring stage on vectors in Parquet files: the run that several parts of the benchmark measure.

The functions are of module level and take plain values, so that a fresh process can run them. A JVM keeps the master it
was started with, and a worker that has once been large stays large.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import spark as suite_spark
from benchmarks.common.spark import drop
from benchmarks.score.worlds import WIDTH, World

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

DRIVER_MEMORY = "8g"


@dataclass(frozen=True)
class Case:
    """One size of the stage. ``block_bytes``: None leaves the choice to the pipeline."""

    n_users: int
    n_items: int
    cores: int = 2
    n: int = 10
    block_bytes: int | None = None

    @property
    def size(self) -> str:
        """Users x items."""
        return f"{self.n_users:,} x {self.n_items:,}"


def session(cores: int) -> SparkSession:
    """Return this process's session; ``cores`` count at the first call."""
    return suite_spark.session(cores, driver_memory=DRIVER_MEMORY)


def write_vectors(folder: Path, case: Case) -> Path:
    """Draw users and items, write them below ``folder`` once per size, and return where they are."""
    path = folder / f"{case.n_users}x{case.n_items}"
    if not path.exists():
        World.draw(case.n_users, case.n_items).write(path)
    return path


def read_vectors(spark: SparkSession, path: Path) -> tuple[DataFrame, DataFrame]:
    """Return USER_VECTORS and ITEM_VECTORS."""
    return spark.read.parquet(f"{path}/users.parquet"), spark.read.parquet(f"{path}/items.parquet")


def lists(
    spark: SparkSession, path: Path, case: Case, normalise: str = "catalogue", excluded: DataFrame | None = None
) -> DataFrame:
    """Return CANDIDATES, not run yet."""
    from recsys_spark.config.sections import Score
    from recsys_spark.scoring.score import CatalogueSize, build_candidates, user_tasks
    from recsys_spark.spark.session import block_bytes, task_slots

    users, items = read_vectors(spark, path)
    score = Score(normalise=normalise, max_block_bytes=case.block_bytes or block_bytes(spark))
    size = CatalogueSize(case.n_items, WIDTH)
    tasks = user_tasks(case.n_users, task_slots(spark))
    return build_candidates(users, items, excluded, score, n=case.n, catalogue=size, n_tasks=tasks)


def run_stage(path: Path, case: Case) -> None:
    """Compute all lists in this process's session and keep none."""
    drop(lists(session(case.cores), path, case))


def collect_stage(path: Path, case: Case) -> pa.Table:
    """Return the lists, sorted by user and rank."""
    return in_order(lists(session(case.cores), path, case))


def in_order(frame: DataFrame) -> pa.Table:
    """Return lists, sorted by user and rank."""
    return frame.toArrow().sort_by([("user_id", "ascending"), ("rank", "ascending")])


def difference(one: pa.Table, other: pa.Table) -> tuple[bool, float]:
    """Return whether two sorted tables of lists have the same items in the same places, and how far scores differ."""
    same = all(one[name].equals(other[name]) for name in ("user_id", "rank", "item_id"))
    if not same or not len(one):
        return same, 0.0
    return same, float(np.abs(one["score"].to_numpy() - other["score"].to_numpy()).max())
