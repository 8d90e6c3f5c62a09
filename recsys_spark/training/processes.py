"""Tasks that train one model together: which task reads which rows, and how they find one another.

They are the tasks of a barrier stage, so Spark starts all of them at once or none. TorchDistributor is not used,
because its processes get no rows. They would have to read files that the training stage had written first. In local
mode it also trains in the driver.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark import BarrierTaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.training.rows import ITEM, slots_of

if TYPE_CHECKING:
    from recsys_spark.worker.process_group import Group

SALT = "rank"
"""Makes this hash differ from the hash by which `model.max_training_users` thins users."""


def shards(rows: DataFrame, n: int) -> DataFrame:
    """Return the rows of training_rows for ``n`` tasks, sorted: each task has every item, and its own users."""
    if n == 1:
        return rows.repartition(1).sortWithinPartitions("kind", "id")
    mine = F.pmod(F.xxhash64("id", F.lit(SALT)), F.lit(n)) == F.col("number")
    slots = F.broadcast(slots_of(rows, n))
    parts = rows.join(slots, (F.col("kind") == F.lit(ITEM)) | mine).repartition(n, "slot")
    return parts.sortWithinPartitions("kind", "id").drop("slot", "number")


@contextmanager
def group_of_tasks(n: int) -> Iterator[Group]:
    """Yield the group of the ``n`` tasks of this stage; the first task tells the others where they meet."""
    from recsys_spark.worker.process_group import ALONE, joined

    if n == 1:
        yield ALONE
        return
    context = BarrierTaskContext.get()
    rank = context.partitionId()
    address = f"{context.getTaskInfos()[0].address.rpartition(':')[0]}:{_free_port()}" if rank == 0 else ""
    with joined(context.allGather(address)[0], rank, n) as group:
        yield group


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
