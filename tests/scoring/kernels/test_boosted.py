"""Boosted logits in the fold: lists and log Z are those of a float64 brute force over the whole catalogue."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.scoring.kernels.blocks import ItemBlock, item_block
from recsys_spark.scoring.kernels.boosted import UserBoosts, fold_boosted, merged
from recsys_spark.scoring.kernels.gpu.topn import fold_on_device
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.topn import State, empty_state, fold
from tests.scoring.score_worlds import World, assert_lists, drawn_case


class BoostedWorld:
    """A world, some of whose items have link numbers in an order of their own, and the boosts of its users."""

    def __init__(self, world: World, seed: int, share: float) -> None:
        rng = np.random.default_rng(seed)
        m, n = world.seen.shape
        self.world = world
        self.links = np.full(n, -1, np.int32)
        linked = np.flatnonzero(rng.random(n) < 0.7)
        # A few numbers belong to items that are not in this catalogue.
        self.links[linked] = rng.permutation(len(linked) + 3)[: len(linked)]
        self.boost = np.where(rng.random((m, n)) < share, rng.gamma(1.0, 2.0, (m, n)), 0.0).astype(np.float32)
        self.boost[:, self.links < 0] = 0.0

    @property
    def boosts(self) -> UserBoosts:
        rows = [np.flatnonzero(row) for row in self.boost]
        numbers = np.concatenate([*(self.links[row] for row in rows), np.empty(0, np.int32)])
        values = np.concatenate([*(self.boost[i, row] for i, row in enumerate(rows)), np.empty(0, np.float32)])
        # One more, of an item that left the catalogue.
        offsets = np.cumsum([0, *map(len, rows)])
        gone = set(range(int(self.links.max(initial=-1)) + 4)) - set(self.links.tolist())
        offsets[-1] += 1
        return UserBoosts(
            offsets, np.append(numbers, max(gone)).astype(np.int32), np.append(values, 9.0).astype(np.float32)
        )

    def blocks(self, cuts: list[int]) -> list[ItemBlock]:
        w = self.world
        return [
            item_block(low, *(v[low:high] for v in (w.y, w.theta, w.bias, w.available, self.links)))
            for low, high in zip([0, *cuts], [*cuts, len(w.y)], strict=True)
        ]

    def brute_force(self, n: int, rank: Rank) -> State:
        return self.world.brute_force(n, rank, self.boost)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 1000), st.sampled_from([0.02, 0.3, 1.0]))
def test_lists_and_log_z_equal_the_brute_force(data: st.DataObject, seed: int, share: float) -> None:
    world, rank, n, cuts = drawn_case(data)
    boosted = BoostedWorld(world, seed, share)
    state = empty_state(len(world.x), n)
    for items in boosted.blocks(cuts):
        state = fold_boosted(fold, state, world.users(), boosted.boosts, items, rank)
    want = boosted.brute_force(n, rank)
    assert_lists(state, want)
    reach = np.abs(want.logit).max()
    np.testing.assert_allclose(state.log_sum, want.peak, rtol=1e-5, atol=1e-5 * (1 + reach))


@pytest.mark.parametrize("n", [1, 40])
def test_a_gpus_fold_boosts_as_well(n: int) -> None:
    import torch

    boosted = BoostedWorld(World(7, 300, 8, seed=3), 5, 0.2)
    on_device = partial(fold_on_device, device=torch.device("cpu"), dtype=torch.float32, n_threads=1)
    state = empty_state(7, n)
    for items in boosted.blocks([100]):
        state = fold_boosted(on_device, state, boosted.world.users(), boosted.boosts, items, Rank())
    want = boosted.brute_force(n, Rank())
    assert_lists(state, want)
    np.testing.assert_allclose(state.log_sum, want.peak, rtol=1e-5)


def test_without_log_z_nothing_is_added_up() -> None:
    boosted = BoostedWorld(World(3, 50, seed=1), 2, 0.5)
    rank = Rank(log_z=False)
    state = empty_state(3, 5)
    for items in boosted.blocks([]):
        state = fold_boosted(fold, state, boosted.world.users(), boosted.boosts, items, rank)
    assert_lists(state, boosted.brute_force(5, rank))
    assert not state.total.any()


def test_exclusions_and_boosted_columns_are_merged_in_order() -> None:
    offsets, excluded, was_there = merged(
        np.array([0, 2, 2]), np.array([3, 9], np.int32), np.array([0, 3, 5]), np.array([4, -1, 9, 7, 0]), 0
    )
    assert offsets.tolist() == [0, 3, 5]
    assert excluded.tolist() == [3, 4, 9, 0, 7]
    assert was_there.tolist() == [False, False, True, False, False]
