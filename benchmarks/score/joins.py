"""The scoring stage next to what Spark offers itself: `nearestByJoin`, and a cross join with a window.

Both rivals compute the cosine alone; ours computes cosine, logit and log Z. At a size that the rivals can finish, ours
is almost all fixed cost, so the report compares them with our figure at 20,000 x 20,000, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row, of
from benchmarks.common.spark import drop
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown, size
from benchmarks.score.rows import OURS, ScorePlan, cost_rows
from benchmarks.score.runs import Case, lists, read_vectors, session, write_vectors

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NEAREST = "nearestByJoin, exact (cosine only)"
CROSS_JOIN = "broadcast crossJoin, vector_cosine_similarity, row_number (cosine only)"
LARGER = (20_000, 20_000, 10)
"""Users, items and N of the stage that the joins are compared with, too."""


def nearest_by_join(users: DataFrame, items: DataFrame, n: int) -> DataFrame:
    """Return user_id, item_id of the ``n`` best by cosine; needs PySpark 4.3."""
    from pyspark.sql import functions as F

    similarity = F.vector_cosine_similarity(users["x"], items["y"])
    return users.nearestByJoin(items, similarity, n, "exact", "similarity").select("user_id", "item_id")


def cross_join(users: DataFrame, items: DataFrame, n: int) -> DataFrame:
    """Return user_id, item_id, cosine of the ``n`` best by cosine."""
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


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """CPU per pair of the three."""
    case = Case(100, 200, plan.cores) if plan.tiny else Case(2_000, 2_000, plan.cores)
    spark = session(plan.cores)
    with tempfile.TemporaryDirectory() as folder:
        path = write_vectors(Path(folder), case)
        users, items = read_vectors(spark, path)
        runs: dict[str, Callable[[], object]] = {
            OURS: lambda: drop(lists(spark, path, case)),
            NEAREST: lambda: drop(nearest_by_join(users, items, case.n)),
            CROSS_JOIN: lambda: drop(cross_join(users, items, case.n)),
        }
        say(f"joins: {case.size}, three ways in turn")
        costs = alternate(runs, plan.times(3))
    spark.stop()
    rows = cost_rows(f"Spark's joins, {plan.cores} cores", case.n_users, case.n_items, case.n, costs)
    for row in rows:
        say(f"joins: {row['method']}: {row['cpu_s']:.2f} CPU s, {row['ns_per_pair']:.1f} ns per pair")
    yield rows


def compared(mine: list[Row], rows: Sequence[Row]) -> list[Row]:
    """Return ``mine`` with each time per pair over ours at the same size, and over the stage's at the size LARGER."""
    here = next((row["ns_per_pair"] for row in mine if row["method"] == OURS), None)
    stage = {(row["users"], row["items"], row["n"], row["method"]): row["ns_per_pair"] for row in of(rows, "stage")}
    there = stage.get((*LARGER, OURS))
    over = [("over_ours", here), ("over_larger", there)]
    return [{**row, **{key: row["ns_per_pair"] / one for key, one in over if one}} for row in mine]


PART = Part(
    "joins",
    "the stage next to Spark's own joins",
    measure,
    Section(
        "Next to Spark's own joins",
        {
            "users x items": size,
            "N": shown("n"),
            "method": shown("method"),
            "ns per pair": shown("ns_per_pair", ",.1f"),
            "M pairs per CPU-s": lambda row: f"{1e3 / row['ns_per_pair']:.2f}",
            "over ours": shown("over_ours", ",.1f"),
            "over ours at 20,000 x 20,000": shown("over_larger", ",.0f"),
        },
        "The joins compute the cosine alone; the stage computes cosine, logit and log Z. "
        "At this size the stage is almost all fixed cost.",
        prepared=compared,
    ),
)
