"""The whole Spark stage, Parquet in and lists out, next to MLlib's recommendForAllUsers; the session is there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row
from benchmarks.common.spark import drop
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section
from benchmarks.score.rows import COSTS, OURS, ScorePlan, cost_rows, over_sgemm
from benchmarks.score.runs import Case, lists, session
from benchmarks.score.worlds import SEEN, WIDTH, World

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SMALL = 10**9
"""Pairs up to which a size is measured more often."""


def write_world(path: Path, n_users: int, n_items: int) -> None:
    """Write vectors, what each user has seen, and ALS's factors of the same sizes."""
    import pyarrow.parquet as pq

    world = World.draw(n_users, n_items)
    world.write(path)
    world.write_factors(path)
    pq.write_table(World.seen(n_users, n_items), path / "seen.parquet")


def als_model(spark: SparkSession, path: Path) -> Any:
    """Return an ALSModel with the factors that :func:`write_world` wrote."""
    from pyspark.ml.recommendation import ALS, ALSModel

    ratings = spark.createDataFrame([(0, 0, 1.0), (1, 1, 1.0)], "user int, item int, rating float")
    ALS(rank=WIDTH, maxIter=1).fit(ratings).write().overwrite().save(f"{path}/als")
    for name in ("userFactors", "itemFactors"):
        spark.read.parquet(f"{path}/{name}.parquet").write.mode("overwrite").parquet(f"{path}/als/{name}")
    return ALSModel.load(f"{path}/als")


def stage_rows(n_users: int, n_items: int, cores: int) -> list[Row]:
    """Return the rows of one size."""
    spark, small = session(cores), n_users * n_items <= SMALL
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_world(path, n_users, n_items)
        seen, als = spark.read.parquet(f"{path}/seen.parquet"), als_model(spark, path)

        def ours(n: int, normalise: str, excluded: DataFrame | None = None) -> None:
            drop(lists(spark, path, Case(n_users, n_items, cores, n), normalise, excluded))

        def rival(n: int) -> None:
            drop(als.recommendForAllUsers(n))

        for n in (10, 100):
            runs: dict[str, Callable[[], object]] = {
                OURS: partial(ours, n, "catalogue"),
                f"{OURS} without log Z": partial(ours, n, "none"),
                f"{OURS}, {SEEN} items excluded per user": partial(ours, n, "catalogue", seen),
            }
            costs = alternate(runs, 5 if small else 3, warm_up=6 if small else 1)
            rivals: dict[str, Callable[[], object]] = {"ALS recommendForAllUsers": partial(rival, n)}
            costs |= alternate(rivals, 2 if small else 1, warm_up=1 if small else 0)
            rows += cost_rows(f"Spark stage, {cores} cores", n_users, n_items, n, costs)
    spark.stop()
    return rows


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """The stage at all sizes."""
    for n_users, n_items in plan.sizes:
        say(f"stage: {n_users:,} x {n_items:,}")
        yield stage_rows(n_users, n_items, plan.cores)


PART = Part(
    "stage",
    "the whole Spark stage next to MLlib's recommendForAllUsers",
    measure,
    Section("The Spark stage", COSTS, "Parquet in, lists out.", prepared=over_sgemm),
)
