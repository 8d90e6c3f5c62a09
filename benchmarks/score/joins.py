"""The scoring stage beside what Spark offers itself: `nearestByJoin`, and a cross join with a window.

Both rivals compute the cosine alone; ours computes cosine, logit and log Z. At a size that they can finish in, ours is
almost all fixed cost, so the report sets them beside our figure at 20,000 x 20,000 too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.common.processes import drop
from benchmarks.score.results import cost_rows, run_part
from benchmarks.score.stage import Case, lists, read_vectors, session, write_vectors

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NEAREST = "nearestByJoin, exact (cosine only)"
CROSS_JOIN = "broadcast crossJoin, vector_cosine_similarity, row_number (cosine only)"


def nearest_by_join(users: DataFrame, items: DataFrame, n: int) -> DataFrame:
    """user_id, item_id of the ``n`` best by cosine; needs PySpark 4.3."""
    from pyspark.sql import functions as F

    similarity = F.vector_cosine_similarity(users["x"], items["y"])
    return users.nearestByJoin(items, similarity, n, "exact", "similarity").select("user_id", "item_id")


def cross_join(users: DataFrame, items: DataFrame, n: int) -> DataFrame:
    """user_id, item_id, cosine of the ``n`` best by cosine."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    best_first = Window.partitionBy("user_id").orderBy(F.desc("cosine"), "item_id")
    return (
        users.select("user_id", "x")
        .crossJoin(F.broadcast(items.select("item_id", "y")))
        .select("user_id", "item_id", F.vector_cosine_similarity("x", "y").alias("cosine"))
        .withColumn("rank", F.row_number().over(best_first))
        .where(F.col("rank") <= n)
    )


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """CPU per pair of the three."""
    case = Case(100, 200, cores) if tiny else Case(2_000, 2_000, cores)
    spark = session(cores)
    with tempfile.TemporaryDirectory() as folder:
        path = write_vectors(Path(folder), case)
        users, items = read_vectors(spark, path)
        runs: dict[str, Callable[[], object]] = {
            "recsys-spark": lambda: drop(lists(spark, path, case)),
            NEAREST: lambda: drop(nearest_by_join(users, items, case.n)),
            CROSS_JOIN: lambda: drop(cross_join(users, items, case.n)),
        }
        say(f"joins: {case.size}, three ways in turn")
        costs = alternate(runs, repeats=1 if tiny else 3)
    spark.stop()
    rows = cost_rows(f"Spark's joins, {cores} cores", case.n_users, case.n_items, case.n, costs)
    for row in rows:
        say(f"joins: {row['method']}: {row['cpu_s']:.2f} CPU s, {row['ns_per_pair']:.1f} ns per pair")
    return rows


if __name__ == "__main__":
    run_part("joins", measure, __doc__)
