"""The fold on one thread, next to sgemm, faiss and implicit on the same vectors.

`sgemm` is the bare float32 product of width 128 in tiles that stay in cache, which is the strictest form of that limit;
nothing else is computed or written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section
from benchmarks.score.rows import COSTS, OURS, ScorePlan, cost_rows, over_sgemm
from benchmarks.score.worlds import WIDTH, World

if TYPE_CHECKING:
    from recsys_spark.scoring.kernels.topn import State

MAX_USERS = 4_096
"""A user costs the kernel the same however many there are, so it is given some of them."""
USERS_AT_ONCE, ITEMS_AT_ONCE = 512, 1_024


def products(world: World) -> Callable[[], None]:
    """Return the bare matrix product of users and items, tile by tile."""
    import torch

    left, right = world.joined_users, world.joined_items
    out = torch.empty(USERS_AT_ONCE * ITEMS_AT_ONCE)

    def sgemm() -> None:
        for i in range(0, len(left), USERS_AT_ONCE):
            for j in range(0, len(right), ITEMS_AT_ONCE):
                a = torch.from_numpy(left[i : i + USERS_AT_ONCE])
                b = torch.from_numpy(right[j : j + ITEMS_AT_ONCE])
                torch.mm(a, b.T, out=out[: len(a) * len(b)].view(len(a), len(b)))

    return sgemm


def folds(world: World) -> Callable[..., State]:
    """Return our fold over packed blocks: `(n, log_z=)`."""
    import numpy as np

    from recsys_spark.scoring.kernels.blocks import item_block, user_block
    from recsys_spark.scoring.kernels.rank import Rank
    from recsys_spark.scoring.kernels.topn import empty_state, fold

    m, n_items = len(world.x), len(world.y)
    items = item_block(0, world.y, world.theta, np.zeros(n_items, np.float32), np.ones(n_items, bool))
    users = user_block(world.x)
    return lambda n, *, log_z: fold(empty_state(m, n), users, items, Rank(log_z=log_z))


def kernel_rows(n_users: int, n_items: int, repeats: int) -> list[Row]:
    """Return the rows of one size."""
    import faiss
    import torch
    from implicit.cpu.topk import topk

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    world = World.draw(n_users, n_items)
    left, right = world.joined_users, world.joined_items
    sgemm, ours = products(world), folds(world)
    index: Any = faiss.IndexFlatIP(2 * WIDTH)
    index.add(right)
    rows: list[Row] = []
    for n in (10, 100):
        runs: dict[str, Callable[[], object]] = {
            "sgemm": sgemm,
            OURS: partial(ours, n, log_z=True),
            f"{OURS} without log Z": partial(ours, n, log_z=False),
            "implicit topk": partial(topk, right, left, n, num_threads=1),
            "faiss IndexFlatIP": partial(index.search, left, n),
        }
        same = (ours(n, log_z=True).position == index.search(left, n)[1]).mean()
        costs = alternate(runs, repeats)
        rows += cost_rows("kernel, one thread", n_users, n_items, n, costs, agreement=float(same))
    return rows


def measure(plan: ScorePlan) -> Iterator[list[Row]]:
    """The kernel at all sizes."""
    for n_users, n_items in plan.sizes:
        say(f"kernel: {n_items:,} items")
        yield kernel_rows(min(n_users, MAX_USERS), n_items, repeats=3 if plan.quick or plan.tiny else 5)


def agreement(mine: list[Row]) -> list[str]:
    """Return how far our lists are those of faiss."""
    same = [row["agreement"] for row in mine if "agreement" in row]
    return [f"Positions equal to faiss's float32 ranking: {min(same):.4%} or more.", ""] if same else []


PART = Part(
    "kernel",
    "the fold on one thread next to sgemm, faiss and implicit",
    measure,
    Section(
        "The kernel without Spark",
        COSTS,
        "`sgemm` is the bare product of width 128 in cache-sized tiles. "
        "Ratios: CPU time per pair over sgemm's; below 1 is faster than the product.",
        after=agreement,
        prepared=over_sgemm,
    ),
)
