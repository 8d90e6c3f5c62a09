"""Random users and items for the scoring kernels, their float64 brute force, and how lists are compared with it."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from recsys_spark.numerics.arrays import F32
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock, item_block, user_block
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.sizes import NO_ITEM
from recsys_spark.scoring.kernels.topn import State, empty_state, fold
from tests.scoring.rank_oracle import best_of, terms_of


class World:
    """Random users and items; ``levels`` > 0 draws coordinates from few values, so that ties are everywhere."""

    def __init__(self, m: int, n: int, d: int = 4, *, seed: int = 0, scale: float = 1.0, levels: int = 0) -> None:
        rng = np.random.default_rng(seed)

        def draw(*shape: int) -> F32:
            values = rng.integers(-levels, levels + 1, shape) if levels else rng.normal(size=shape)
            return (values * scale).astype(np.float32)

        self.x, self.y, self.theta, self.bias = draw(m, d), draw(n, d), draw(n, d), draw(n)
        self.available = rng.random(n) > 0.2
        self.seen = rng.random((m, n)) < rng.random((m, 1)) * 0.6

    def brute_force(self, n: int, rank: Rank, boost: F32 | float = 0.0) -> State:
        """The state after all items; its terms are [m, n_items], and ``raw`` is -inf for closed items."""
        terms, closed = terms_of(self.x, self.y, self.theta, self.bias, rank, boost), self.seen | ~self.available
        raw = np.where(closed, -np.inf, terms.raw)
        return State(best_of(terms.raw, closed, n), terms.cosine, terms.logit, raw, terms.log_z, np.ones(len(self.x)))

    def users(self) -> UserBlock:
        rows = [np.flatnonzero(row).astype(np.int32) for row in self.seen]
        return user_block(self.x, np.cumsum([0, *map(len, rows)]), np.concatenate([*rows, np.empty(0, np.int32)]))

    def block(self) -> ItemBlock:
        return self.blocks([])[0]

    def blocks(self, cuts: list[int]) -> list[ItemBlock]:
        """The items in blocks that begin at 0 and at each cut."""
        return [
            item_block(low, *(v[low:high] for v in (self.y, self.theta, self.bias, self.available)))
            for low, high in zip([0, *cuts], [*cuts, len(self.y)], strict=True)
        ]

    def folded(self, n: int, rank: Rank, cuts: list[int], screen: torch.dtype | None = None) -> State:
        state = empty_state(len(self.x), n)
        for items in self.blocks(cuts):
            state = fold(state, self.users(), items, rank, screen=screen)
        return state


def drawn_case(data: st.DataObject) -> tuple[World, Rank, int, list[int]]:
    """A world, a rank, N and where to cut the items into blocks."""
    n_items = data.draw(st.integers(1, 300), "items")
    world = World(
        data.draw(st.integers(1, 40), "users"),
        n_items,
        data.draw(st.integers(1, 9), "width"),
        seed=data.draw(st.integers(0, 10_000), "seed"),
        scale=data.draw(st.sampled_from([1e-20, 0.1, 1.0, 5.0, 100.0]), "scale"),
        levels=data.draw(st.sampled_from([0, 0, 1, 3]), "levels"),
    )
    rank = Rank(
        data.draw(st.sampled_from([0.0, 0.3, 1.0])),
        data.draw(st.sampled_from([0.0, 0.3, 1.0])),
        data.draw(st.sampled_from([1.0, 1.0, 2.0, 0.25])),
    )
    n = data.draw(st.integers(1, 80), "n")
    cuts = sorted(data.draw(st.sets(st.integers(1, n_items - 1), max_size=4), "cuts")) if n_items > 1 else []
    return world, rank, n, cuts


def assert_lists(got: State, want: State) -> None:
    """The positions of the brute force ``want``, and its terms to float64's last digits."""
    np.testing.assert_array_equal(got.position, want.position)
    user, slot = np.nonzero(got.position != NO_ITEM)
    position = got.position[user, slot]
    for name in ("raw", "cosine", "logit"):
        np.testing.assert_allclose(
            getattr(got, name)[user, slot], getattr(want, name)[user, position], rtol=1e-12, atol=1e-12
        )
