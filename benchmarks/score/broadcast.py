"""Two ways of bringing item blocks to the workers: joined by broadcast, as in the stage, or in a file that workers map.

In the second way, the driver writes the packed blocks to an Arrow file and `SparkContext.addFile` brings it to each
machine. The workers of a machine map the file, so that its pages are in memory once. A task has all item blocks, so its
lists are final and no window follows. Packing and scoring are the stage's own tasks in both ways.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row
from benchmarks.common.memory import WorkerMemory
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.spark import drop
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import MIB, Section, shown, size
from benchmarks.score.rows import OURS, ScorePlan, cost_rows
from benchmarks.score.runs import (
    Case,
    collect_stage,
    difference,
    in_order,
    read_vectors,
    run_stage,
    session,
    write_vectors,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Batches = Iterator[pa.RecordBatch]
JOINED, MAPPED = f"{OURS}, blocks joined by broadcast", f"{OURS}, blocks in a mapped file"
NUMBERS = count()
"""A file that was added once cannot be replaced, so each run needs a name of its own."""


def write_blocks(blocks: DataFrame, path: Path) -> None:
    """Collect packed item blocks and write them, one batch each."""
    table = blocks.toArrow()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)


def scorer_of_file(score: Callable[[Batches], Batches], name: str) -> Callable[[Batches], Batches]:
    """Return ``score``, the stage's task, fed with each user block and each item block of the added file ``name``."""

    def pairs(batches: Batches, blocks: pa.RecordBatchFileReader) -> Batches:
        for batch in batches:
            for number in range(batch.num_rows):
                user = batch.slice(number, 1)
                for block in range(blocks.num_record_batches):
                    item = blocks.get_batch(block)
                    names = [*user.schema.names, *item.schema.names]
                    yield pa.record_batch([*user.columns, *item.columns], names=names)

    def task(batches: Batches) -> Batches:
        from pyspark import SparkFiles

        with pa.memory_map(SparkFiles.get(name)) as source:
            yield from score(pairs(batches, pa.ipc.open_file(source)))

    return task


def run_mapped(path: Path, case: Case) -> None:
    """Compute all lists with the blocks in a file and keep none."""
    drop(mapped_lists(path, case))


def mapped_lists(path: Path, case: Case) -> DataFrame:
    """Return the stage's lists, of blocks in a file; the plan is the stage's except the join and what follows it."""
    from pyspark.sql import functions as F

    from recsys_spark.config.sections import Score
    from recsys_spark.scoring import score as stage
    from recsys_spark.scoring.boost_columns import with_boost_columns
    from recsys_spark.spark.session import block_bytes, task_slots
    from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS

    spark = session(case.cores)
    user_vectors, item_vectors = read_vectors(spark, path)
    max_bytes = case.block_bytes or block_bytes(spark)
    items = with_boost_columns(item_vectors, ITEM_VECTORS).withColumn("category", F.lit(""))
    # It must stay where it is until the run is over: executors fetch it from there.
    file = path / f"blocks-{next(NUMBERS)}.arrow"
    write_blocks(stage.pack_catalogue(items, max_bytes, one_block=False), file)
    spark.sparkContext.addFile(str(file))
    users = with_boost_columns(user_vectors, USER_VECTORS).withColumn("position", F.lit(None).cast("int"))
    user_blocks = stage.pack_by_user(users, max_bytes, case.n, stage.user_tasks(case.n_users, task_slots(spark)))
    score = stage.scorer(Score(), case.n, whole=True)
    return user_blocks.mapInArrow(scorer_of_file(score, file.name), stage.LISTS)


def collect_mapped(path: Path, case: Case) -> pa.Table:
    """Return the lists, sorted by user and rank."""
    return in_order(mapped_lists(path, case))


def compare(case: Case, plan: ScorePlan) -> list[Row]:
    """Return a row for each way: CPU and wall time in turn in one process, then memory and lists in a fresh one."""
    rows: list[Row] = []
    lists = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_vectors(Path(folder), case)
        say(f"broadcast: {case.size}, both ways in turn")
        with own_process() as process:
            runs = {name: partial(run_in, process, run, path, case) for name, (run, _) in WAYS.items()}
            costs = alternate(runs, plan.times(3), warm_up=plan.times(2))
        for name, (_, collect) in WAYS.items():
            # The sampler takes CPU time, so memory has runs of its own.
            with own_process() as process, WorkerMemory() as memory:
                lists.append(run_in(process, collect, path, case))
            same, _ = difference(lists[0], lists[-1])
            more = {"total_pss": memory.total_pss, "peak_rss": memory.rss, "same_lists": same}
            taken = {name: costs[name]}
            rows += cost_rows(f"item blocks, {plan.cores} cores", case.n_users, case.n_items, case.n, taken, **more)
            took = (
                f"{rows[-1]['cpu_s']:.2f} CPU s, {rows[-1]['wall_s']:.2f} s, workers {memory.total_pss / MIB:.0f} MiB"
            )
            say(f"broadcast: {name}: {took}, {'the same lists' if same else 'OTHER LISTS'}")
    return rows


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """Both ways at two sizes."""
    for n_users, n_items in TINY_SIZES if plan.tiny else SIZES:
        yield compare(Case(n_users, n_items, plan.cores), plan)


WAYS = {JOINED: (run_stage, collect_stage), MAPPED: (run_mapped, collect_mapped)}
SIZES, TINY_SIZES = ((20_000, 20_000), (20_000, 200_000)), ((500, 1_000), (100, 5_000))


def same_lists(mine: list[Row]) -> list[str]:
    """Return whether the ways give the same lists."""
    same = all(row["same_lists"] for row in mine)
    return [f"Both give {'the same lists' if same else 'DIFFERENT LISTS'}.", ""]


PART = Part(
    "broadcast",
    "two ways of bringing item blocks to the workers",
    measure,
    Section(
        "How item blocks reach the workers",
        {
            "users x items": size,
            "item blocks": lambda row: row["method"].split(", ", 1)[1],
            "CPU s": shown("cpu_s", ".2f"),
            "ns per pair": shown("ns_per_pair", ".2f"),
            "wall s": shown("wall_s", ".2f"),
            "MiB of workers (PSS, all)": shown("total_pss", ".0f", MIB),
            "runs": shown("repeats"),
        },
        after=same_lists,
    ),
)
