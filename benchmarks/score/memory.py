"""Memory of the Python workers, which grows with the item blocks and not with the users or the catalogue.

Each run has its own process, because a worker that has once been large stays large.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.costs import Cost, cost
from benchmarks.common.ledger import Row
from benchmarks.common.memory import WorkerMemory
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import MIB, Section, shown, size
from benchmarks.score.rows import OURS, ScorePlan, cost_rows
from benchmarks.score.runs import Case, collect_stage, difference, write_vectors
from benchmarks.score.worlds import WIDTH

if TYPE_CHECKING:
    import pyarrow as pa

ITEM_BYTES = 4 * (2 * WIDTH + 1)
DEFAULT = 128 * MIB
"""The pipeline's block size with this driver memory and two cores."""
BASELINE = "code only: 16 users x 16 items"
ONE_BLOCK, QUARTERS = "the table in one block", "blocks of a quarter of the table"
PEAKS = ("rss", "pss", "uss", "total_pss")


def blocks_of(n_items: int, block_bytes: int) -> tuple[int, int]:
    """Return how many item blocks there are, and the bytes of the largest."""
    from recsys_spark.scoring.kernels.packing_items import rows_per_block

    rows = min(n_items, rows_per_block(WIDTH, block_bytes))
    return -(-n_items // rows), rows * ITEM_BYTES


def peak(path: Path, case: Case) -> tuple[pa.Table, Row]:
    """Run once in a fresh process; return the lists, and a row with what the workers took."""
    taken: list[pa.Table] = []
    with own_process() as process, WorkerMemory() as memory:
        spent: Cost = cost(lambda: taken.append(run_in(process, collect_stage, path, case)))
    n_blocks, block = blocks_of(case.n_items, case.block_bytes or DEFAULT)
    facts: Row = {"n_blocks": n_blocks, "block_bytes": block, "n_workers": memory.n_workers}
    facts |= {f"peak_{name}": getattr(memory, name) for name in PEAKS}
    (row,) = cost_rows("memory of workers", case.n_users, case.n_items, case.n, {OURS: [spent]}, **facts)
    return taken[0], row


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """Users grow, then blocks shrink."""
    n_items, few, many = (20_000, 50, 500) if plan.tiny else (1_000_000, 2_000, 20_000)
    table, cores = n_items * ITEM_BYTES, plan.cores
    default = table // 3 if plan.tiny else DEFAULT
    cases = {
        BASELINE: Case(16, 16, cores, block_bytes=default),
        "few users": Case(few, n_items, cores, block_bytes=default),
        "many users": Case(many, n_items, cores, block_bytes=default),
        ONE_BLOCK: Case(few, n_items, cores, block_bytes=table + 1024 * ITEM_BYTES),
        QUARTERS: Case(few, n_items, cores, block_bytes=table // 4),
    }
    rows, lists = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for method, case in cases.items():
            say(f"memory: {method}: {case.size}")
            lists[method], row = peak(write_vectors(Path(folder), case), case)
            rows.append({**row, "method": method})
            peaks = ", ".join(f"{name} {row[f'peak_{name}'] / MIB:.0f}" for name in PEAKS)
            say(f"memory: {row['n_blocks']} blocks; peaks in MiB: {peaks}")
    same, score = difference(lists[ONE_BLOCK], lists[QUARTERS])
    rows[-1] |= {"same_lists": same, "score_difference": score}
    yield rows


def compared(mine: list[Row], _: Sequence[Row]) -> list[Row]:
    """Return ``mine`` with each row's own memory (USS) above the code's, as a multiple of an item block."""
    code = next((row["peak_uss"] for row in mine if row["method"] == BASELINE), None)
    if code is None:
        return mine
    return [
        row if row["method"] == BASELINE else {**row, "in_blocks": (row["peak_uss"] - code) / row["block_bytes"]}
        for row in mine
    ]


def same_lists(mine: list[Row]) -> list[str]:
    """Return whether the number of blocks changes the lists."""
    lines = []
    for row in mine:
        if "same_lists" in row:
            same = "the same lists" if row["same_lists"] else "OTHER LISTS"
            apart = f"scores differ by {row['score_difference']:.1e} at most"
            lines += [f"{row['n_blocks']} blocks give {same} as one; {apart}.", ""]
    return lines


PART = Part(
    "memory",
    "what the Python workers take",
    measure,
    Section(
        "Memory of Python workers",
        {
            "what": shown("method"),
            "users x items": size,
            "item blocks": shown("n_blocks"),
            "MiB a block": shown("block_bytes", ".0f", MIB),
            "RSS": shown("peak_rss", ".0f", MIB),
            "PSS": shown("peak_pss", ".0f", MIB),
            "USS": shown("peak_uss", ".0f", MIB),
            "PSS of all workers": shown("peak_total_pss", ".0f", MIB),
            "USS above the code's, in blocks": shown("in_blocks", ".1f"),
        },
        "Peaks in MiB of the largest worker, and of all workers together. RSS has all pages that a process maps. "
        "Of pages that several processes map (libraries), PSS has its share and USS none. "
        "The first row is what the code alone takes.",
        after=same_lists,
        prepared=compared,
    ),
)
