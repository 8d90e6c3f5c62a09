"""Scoring beside its limit and its rivals: `make bench-score` writes benchmarks/results/score.{md,json,png}.

Every figure is a median of runs that alternate. `sgemm` is the bare float32 product of width 128 in tiles that stay in
cache, which is the strictest form of that limit; nothing else is computed or written.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.common.processes import drop
from benchmarks.score.results import LEDGER, PARTS, cost_rows, keep
from benchmarks.score.stage import Case, lists, session
from benchmarks.score.worlds import SEEN, WIDTH, World

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def kernel_costs(n_users: int, n_items: int, repeats: int) -> list[dict[str, Any]]:
    """The fold, one thread, beside sgemm, faiss and implicit on the same vectors."""
    import faiss
    import torch
    from implicit.cpu.topk import topk

    from recsys_spark.scoring.kernels.blocks import item_block, user_block
    from recsys_spark.scoring.kernels.prepared import Weights
    from recsys_spark.scoring.kernels.topn import empty_state, fold

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    import numpy as np

    world = World.draw(n_users, n_items)
    items = item_block(0, world.y, world.theta, np.zeros(n_items, np.float32), np.ones(n_items, bool))
    users = user_block(world.x)
    left, right = world.joined_users, world.joined_items
    out = torch.empty(512 * 1024)

    def sgemm() -> None:
        for i in range(0, n_users, 512):
            for j in range(0, n_items, 1024):
                a, b = torch.from_numpy(left[i : i + 512]), torch.from_numpy(right[j : j + 1024])
                torch.mm(a, b.T, out=out[: len(a) * len(b)].view(len(a), len(b)))

    def ours(n: int, *, log_z: bool) -> Any:
        return fold(empty_state(n_users, n), users, items, Weights(log_z=log_z))

    index = faiss.IndexFlatIP(2 * WIDTH)
    index.add(right)
    rows = []
    for n in (10, 100):
        runs = {
            "sgemm": sgemm,
            "recsys-spark": lambda n=n: ours(n, log_z=True),
            "recsys-spark without log Z": lambda n=n: ours(n, log_z=False),
            "implicit topk": lambda n=n: topk(right, left, n, num_threads=1),
            "faiss IndexFlatIP": lambda n=n: index.search(left, n),
        }
        same = (ours(n, log_z=True).position == index.search(left, n)[1]).mean()
        costs = alternate(runs, repeats)
        rows += cost_rows("kernel, one thread", n_users, n_items, n, costs, agreement=float(same))
    return rows


def stage_costs(n_users: int, n_items: int, repeats: int, cores: int, n_als: int) -> list[dict[str, Any]]:
    """The whole Spark stage, Parquet in and lists out, beside recommendForAllUsers; the session is started before."""
    import pyarrow.parquet as pq
    from pyspark.ml.recommendation import ALS, ALSModel

    spark = session(cores)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        world = World.draw(n_users, n_items)
        world.write(path)
        world.write_factors(path)
        pq.write_table(World.seen(n_users, n_items), path / "seen.parquet")
        seen = spark.read.parquet(f"{path}/seen.parquet")
        ratings = spark.createDataFrame([(0, 0, 1.0), (1, 1, 1.0)], "user int, item int, rating float")
        ALS(rank=WIDTH, maxIter=1).fit(ratings).write().overwrite().save(f"{path}/als")
        for name in ("userFactors", "itemFactors"):
            spark.read.parquet(f"{path}/{name}.parquet").write.mode("overwrite").parquet(f"{path}/als/{name}")
        als = ALSModel.load(f"{path}/als")

        def ours(n: int, normalise: str, excluded: DataFrame | None = None) -> None:
            drop(lists(spark, path, Case(n_users, n_items, cores, n), normalise, excluded))

        for n in (10, 100):
            runs = {
                "recsys-spark": lambda n=n: ours(n, "catalogue"),
                "recsys-spark without log Z": lambda n=n: ours(n, "none"),
                f"recsys-spark, {SEEN} items excluded per user": lambda n=n: ours(n, "catalogue", seen),
            }
            costs = alternate(runs, repeats, warm_up=6 if n_users * n_items <= 10**9 else 1)
            rivals = {"ALS recommendForAllUsers": lambda n=n: drop(als.recommendForAllUsers(n))}
            costs |= alternate(rivals, n_als, warm_up=1 if n_als > 1 else 0) if n_als else {}
            rows += cost_rows(f"Spark stage, {cores} cores", n_users, n_items, n, costs)
    spark.stop()
    return rows


def sizes(arguments: argparse.Namespace) -> list[tuple[int, int]]:
    """Users and items of the parts kernel and stage."""
    if arguments.tiny:
        return [(200, 2_000)]
    return [(20_000, 20_000)] if arguments.quick else [(20_000, 20_000), (50_000, 100_000)]


def kernel_rows(arguments: argparse.Namespace) -> list[Row]:
    """The kernel at all sizes."""
    rows = []
    for n_users, n_items in sizes(arguments):
        say(f"kernel: {n_items:,} items")
        # A user costs the kernel the same however many there are, so it is given some of them.
        rows += kernel_costs(min(n_users, 4096), n_items, repeats=3 if arguments.quick or arguments.tiny else 5)
    return rows


def stage_rows(arguments: argparse.Namespace) -> list[Row]:
    """The stage at all sizes."""
    rows = []
    for n_users, n_items in sizes(arguments):
        say(f"stage: {n_users:,} x {n_items:,}")
        small = n_users * n_items <= 10**9
        rows += stage_costs(n_users, n_items, 5 if small else 3, arguments.cores, n_als=2 if small else 1)
    return rows


def main() -> None:
    """Run the parts that were asked for, each in a process of its own, and write what was found."""
    parser = LEDGER.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="kernel and stage at one size, with few repeats")
    parser.add_argument("--parts", default=",".join(PARTS), help="which of %(default)s, by default all")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"--parts: {', '.join(sorted(unknown))} not among {', '.join(PARTS)}")
    own = {"kernel": kernel_rows, "stage": stage_rows}
    if len(parts) == 1 and parts[0] in own:
        keep(LEDGER.folder_of(arguments), parts[0], own[parts[0]](arguments))
        return
    shared = ["--cores", str(arguments.cores), "--results", str(LEDGER.folder_of(arguments))]
    shared += ["--tiny"] if arguments.tiny else []
    for part in parts:
        mine = ["benchmarks.score", "--parts", part, *(["--quick"] if arguments.quick else [])]
        command = mine if part in own else [f"benchmarks.score.{part}"]
        say(f"==> {part}")
        subprocess.run([sys.executable, "-m", *command, *shared], check=True)


if __name__ == "__main__":
    main()
