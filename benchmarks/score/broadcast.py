"""Two ways of bringing item blocks to the workers: joined by broadcast, as the stage does, or in a file that workers map.

In the second, the driver writes the packed blocks to an Arrow file, `SparkContext.addFile` brings it to each machine, and
the workers of a machine map it, so that its pages are there once. A task has all item blocks at hand, so its lists are
final, and no window follows. Packing and scoring are the stage's own tasks in both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import WorkerMemory, alternate
from benchmarks.common.processes import drop, own_process, run_in
from benchmarks.score.results import cost_rows, run_part
from benchmarks.score.stage import (
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
JOINED, MAPPED = "recsys-spark, blocks joined by broadcast", "recsys-spark, blocks in a mapped file"
NUMBERS = count()
"""A file that was added once cannot be replaced, so each run needs a name of its own."""


def write_blocks(blocks: DataFrame, path: Path) -> None:
    """Collect packed item blocks and write them, one batch each."""
    table = blocks.toArrow()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)


def scorer_of_file(score: Callable[[Batches], Batches], name: str) -> Callable[[Batches], Batches]:
    """``score``, the stage's task, fed with user blocks beside the item blocks of the added file ``name``."""

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
    """Parquet in, lists out, with the blocks in a file."""
    drop(mapped_lists(path, case))


def mapped_lists(path: Path, case: Case) -> DataFrame:
    """The stage's lists, of blocks in a file. Its plan is the stage's but for the join and what follows it."""
    from pyspark.sql import functions as F

    from recsys_spark.config.sections import Score
    from recsys_spark.scoring import score as stage
    from recsys_spark.spark.session import block_bytes, task_slots
    from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS, with_boost_columns

    spark = session(case.cores)
    user_vectors, item_vectors = read_vectors(spark, path)
    max_bytes = case.block_bytes or block_bytes(spark)
    items = with_boost_columns(item_vectors, ITEM_VECTORS).withColumn("segment", F.lit(""))
    # It must stay where it is until the run is over: executors fetch it from there.
    file = path / f"blocks-{next(NUMBERS)}.arrow"
    write_blocks(stage.pack_catalogue(items, max_bytes, one_block=False), file)
    spark.sparkContext.addFile(str(file))
    users = with_boost_columns(user_vectors, USER_VECTORS).withColumn("position", F.lit(None).cast("int"))
    user_blocks = stage.pack_by_user(users, max_bytes, case.n, stage.user_tasks(case.n_users, task_slots(spark)))
    score = stage.scorer(Score(), case.n, whole=True)
    return user_blocks.mapInArrow(scorer_of_file(score, file.name), stage.LISTS)


def collect_mapped(path: Path, case: Case) -> pa.Table:
    """The lists, sorted by user and rank."""
    return in_order(mapped_lists(path, case))


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """CPU and wall of both in turn in one process, then the memory and the lists of one more run of each in a fresh process."""
    ways = {JOINED: (run_stage, collect_stage), MAPPED: (run_mapped, collect_mapped)}
    rows: list[Row] = []
    for size in [(500, 1_000), (100, 5_000)] if tiny else [(20_000, 20_000), (20_000, 200_000)]:
        case = Case(*size, cores=cores)
        lists = []
        with tempfile.TemporaryDirectory() as folder:
            path = write_vectors(Path(folder), case)
            say(f"broadcast: {case.size}, both ways in turn")
            with own_process() as process:
                runs = {name: partial(run_in, process, run, path, case) for name, (run, _) in ways.items()}
                costs = alternate(runs, repeats=1 if tiny else 3, warm_up=1 if tiny else 2)
            for name, (_, collect) in ways.items():
                # The sampler takes CPU time, so memory has runs of its own.
                with own_process() as process, WorkerMemory() as memory:
                    lists.append(run_in(process, collect, path, case))
                same, _ = difference(lists[0], lists[-1])
                more = {"total_pss": memory.total_pss, "peak_rss": memory.rss, "same_lists": same}
                (row,) = cost_rows(f"item blocks, {cores} cores", *size, case.n, {name: costs[name]}, **more)
                took = f"{row['cpu_s']:.2f} CPU s, {row['wall_s']:.2f} s, workers {row['total_pss'] / 2**20:.0f} MiB"
                say(f"broadcast: {name}: {took}, {'the same lists' if same else 'OTHER LISTS'}")
                rows.append(row)
    return rows


if __name__ == "__main__":
    run_part("broadcast", measure, __doc__)
