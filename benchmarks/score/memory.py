"""Memory of the Python workers: it must follow the item blocks, and neither the number of users nor the size of the catalogue.

Each run has a process of its own, because a worker that has once been large stays large.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import Cost, WorkerMemory, cost
from benchmarks.common.processes import own_process, run_in
from benchmarks.score.results import cost_rows, run_part
from benchmarks.score.stage import Case, collect_stage, difference, write_vectors
from benchmarks.score.worlds import WIDTH

if TYPE_CHECKING:
    import pyarrow as pa

MIB = 2**20
ALLOWANCE = 256 * MIB
"""What a worker may take beside item blocks."""
ITEM_BYTES = 4 * (2 * WIDTH + 1)
DEFAULT = 128 * MIB
"""The pipeline's block size with this driver memory and two cores."""
BASELINE = "code only: 16 users x 16 items"


def blocks_of(n_items: int, block_bytes: int) -> tuple[int, int]:
    """How many item blocks there are, and the bytes of the largest."""
    from recsys_spark.scoring.kernels.packing_items import rows_per_block

    rows = min(n_items, rows_per_block(WIDTH, block_bytes))
    return -(-n_items // rows), rows * ITEM_BYTES


def peak(path: Path, case: Case) -> tuple[pa.Table, Row]:
    """Run once in a fresh process: the lists, and a row with what the workers took."""
    taken: list[pa.Table] = []
    with own_process() as process, WorkerMemory() as memory:
        spent: Cost = cost(lambda: taken.append(run_in(process, collect_stage, path, case)))
    n_blocks, block = blocks_of(case.n_items, case.block_bytes or DEFAULT)
    figures = {f"peak_{name}": getattr(memory, name) for name in ("rss", "pss", "uss", "total_pss")}
    (row,) = cost_rows(
        "memory of workers", case.n_users, case.n_items, case.n, {"recsys-spark": [spent]},
        n_blocks=n_blocks, block_bytes=block, allowed=block + ALLOWANCE, n_workers=memory.n_workers, **figures,
    )  # fmt: skip
    return taken[0], row


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """Users grow, then blocks shrink."""
    n_items, few, many = (20_000, 50, 500) if tiny else (1_000_000, 2_000, 20_000)
    table = n_items * ITEM_BYTES
    default = table // 3 if tiny else DEFAULT
    cases = {
        BASELINE: Case(16, 16, cores, block_bytes=default),
        "few users": Case(few, n_items, cores, block_bytes=default),
        "many users": Case(many, n_items, cores, block_bytes=default),
        "the table in one block": Case(few, n_items, cores, block_bytes=table + 1024 * ITEM_BYTES),
        "blocks of a quarter of the table": Case(few, n_items, cores, block_bytes=table // 4),
    }
    rows, lists = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for method, case in cases.items():
            say(f"memory: {method}: {case.size}")
            lists[method], row = peak(write_vectors(Path(folder), case), case)
            rows.append({**row, "method": method})
            peaks = ", ".join(f"{name} {row[f'peak_{name}'] / MIB:.0f}" for name in ("rss", "pss", "uss", "total_pss"))
            say(f"memory: {row['n_blocks']} blocks; peaks in MiB: {peaks}; allowed {row['allowed'] / MIB:.0f}")
    same, score = difference(lists["the table in one block"], lists["blocks of a quarter of the table"])
    say(
        f"memory: lists of one block and of many are {'the same' if same else 'NOT the same'}, scores within {score:.1e}"
    )
    rows[-1] |= {"same_lists": same, "score_difference": score}
    return rows


if __name__ == "__main__":
    run_part("memory", measure, __doc__)
