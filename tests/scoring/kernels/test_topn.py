"""The fold against a float64 brute force: exactly the same lists, log Z to float32 accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.errors import DataError
from recsys_spark.numerics.arrays import I64
from recsys_spark.scoring.kernels import topn
from recsys_spark.scoring.kernels.blocks import item_block, user_block
from recsys_spark.scoring.kernels.precision import HALF, SINGLE
from recsys_spark.scoring.kernels.prepared import Prepared
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.screening import SAMPLE_EVERY
from recsys_spark.scoring.kernels.shortlist import settle
from recsys_spark.scoring.kernels.sizes import CHUNK, NO_ITEM, TILE
from recsys_spark.scoring.kernels.topn import State, empty_state, fold
from tests.scoring.score_worlds import World, assert_lists, drawn_case


def assert_same_lists(world: World, got: State, want: State) -> None:
    assert_lists(got, want)
    # A float32 logit is as exact as its largest terms, which may cancel.
    reach = np.linalg.norm(world.x, axis=1) * np.linalg.norm(world.theta, axis=1).max() + np.abs(world.bias).max()
    assert (np.abs(got.log_sum - want.log_sum) <= 1e-6 * (1 + reach)).all()


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from([SINGLE, HALF]))
def test_any_world_gives_the_brute_force_lists(data: st.DataObject, screen: torch.dtype) -> None:
    world, rank, n, cuts = drawn_case(data)
    want = world.brute_force(n, rank)
    assert_same_lists(world, world.folded(n, rank, cuts, screen), want)
    assert_lists(world.folded(n, rank._replace(log_z=False), cuts, screen), want)


@pytest.mark.parametrize("screen", [SINGLE, HALF])
@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_many_tiles_and_chunks_give_the_brute_force_lists(n: int, levels: int, screen: torch.dtype) -> None:
    world = World(300, 3 * TILE + 77, 8, seed=n, levels=levels)
    assert_same_lists(world, world.folded(n, Rank(), [], screen), world.brute_force(n, Rank()))


def test_the_precision_of_the_screen_does_not_change_a_bit() -> None:
    world = World(600, 2 * TILE + 9, 32, seed=5)
    single, half = (world.folded(20, Rank(), [], screen) for screen in (SINGLE, HALF))
    for name in ("position", "raw", "cosine", "logit", "log_sum"):
        np.testing.assert_array_equal(getattr(single, name), getattr(half, name))


def test_all_scores_equal_gives_the_smallest_ids() -> None:
    world = World(30, 4 * TILE, levels=1)
    world.theta[:], world.y[:], world.bias[:] = 0, 0, 3
    assert_same_lists(world, world.folded(5, Rank(), []), world.brute_force(5, Rank()))


@pytest.mark.parametrize("n", [40, 100])
def test_a_guessed_bound_that_is_too_high_costs_time_but_not_an_item(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(50, 6 * TILE, 8, seed=n)
    assert len(Prepared.of(world.block(), Rank(), n, SINGLE).sample)
    world.bias[::SAMPLE_EVERY] += 20  # the sampled items are the best ones, so the guess fails for everybody
    unsure: list[int] = []

    def watched(*args: Any) -> I64:
        users = settle(*args)
        unsure.append(len(users))
        return users

    monkeypatch.setattr(topn, "settle", watched)
    for cuts in ([], [TILE]):
        assert_same_lists(world, world.folded(n, Rank(), cuts), world.brute_force(n, Rank()))
    assert max(unsure) > 40


def test_users_who_have_seen_the_best_items_still_get_n() -> None:
    world = World(20, 5 * TILE, 8)
    raw = world.brute_force(1, Rank()).raw
    best_third = np.argsort(-raw, axis=1)[:, : len(world.y) // 3]
    world.seen[:] = False
    np.put_along_axis(world.seen, best_third, values=True, axis=1)
    for n in (10, 64):
        got = world.folded(n, Rank(), [])
        assert (got.position != NO_ITEM).all()
        assert_same_lists(world, got, world.brute_force(n, Rank()))


def test_threads_do_not_change_a_bit() -> None:
    world = World(3 * CHUNK + 5, 2 * TILE, 8)
    users, items = user_block(world.x), world.block()
    one, three = (fold(empty_state(len(world.x), 5), users, items, Rank(), n_threads=n) for n in (1, 3))
    for name in ("position", "raw", "log_sum"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_lists_without_log_z_are_the_same() -> None:
    world = World(40, TILE)
    got, want = (world.folded(7, Rank(log_z=log_z), []) for log_z in (False, True))
    np.testing.assert_array_equal(got.position, want.position)
    assert np.isneginf(got.log_sum).all()


def test_ties_across_blocks_go_to_the_smaller_id_in_any_block_order() -> None:
    world = World(3, 12)
    world.seen[:], world.available[:] = False, True
    world.y[:], world.theta[:], world.bias[:] = world.y[0], world.theta[0], world.bias[0]
    users = user_block(world.x)
    blocks = [item_block(low, world.y[:4], world.theta[:4], world.bias[:4], world.available[:4]) for low in (8, 0, 4)]
    state = empty_state(3, 6)
    for block in blocks:
        state = fold(state, users, block, Rank())
    assert state.position.tolist() == [[0, 1, 2, 3, 4, 5]] * 3


def test_log_sum_counts_items_that_may_not_be_recommended() -> None:
    world = World(5, 40)
    world.available[:], world.seen[:] = False, True
    got = world.folded(3, Rank(), [])
    assert (got.position == NO_ITEM).all()
    np.testing.assert_allclose(got.log_sum, world.brute_force(3, Rank()).log_sum, rtol=1e-6)


def test_probabilities_sum_to_one() -> None:
    world = World(20, 500)
    got = world.folded(500, Rank(), [100, 101])
    logit = world.brute_force(500, Rank()).logit
    np.testing.assert_allclose(np.exp(logit - got.log_sum[:, None]).sum(1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("bias", [1e4, -1e4])
def test_extreme_logits_neither_overflow_nor_vanish(bias: float) -> None:
    world = World(20, 3 * TILE)
    world.bias += np.float32(bias)
    world.bias[5] = -bias
    got, want = world.folded(10, Rank(), [TILE]), world.brute_force(10, Rank())
    assert_same_lists(world, got, want)
    assert np.isfinite(got.log_sum).all()


@pytest.mark.parametrize("temperature", [0.3, 3.0])
@pytest.mark.parametrize("scale", [1e3, 1e5, 1e8])
def test_log_z_of_huge_logits_is_finite(scale: float, temperature: float) -> None:
    world = World(20, TILE + 3, 8, scale=scale)  # logits up to 1e17
    got, want = (w(10, Rank(scale=1 / temperature)) for w in (lambda n, w: world.folded(n, w, []), world.brute_force))
    assert_lists(got, want)
    assert np.isfinite(got.log_sum).all()
    np.testing.assert_allclose(got.log_sum, want.log_sum, rtol=1e-5)


@pytest.mark.parametrize("rank", [Rank(w_ce=1e39), Rank(w_cos=1e39), Rank(scale=1e40)])
def test_scores_that_float32_cannot_hold_are_refused(rank: Rank) -> None:
    with pytest.raises(DataError, match="exceed what float32 can hold"):
        World(2, 10).folded(3, rank, [])


def test_bits_do_not_depend_on_blocks_or_on_other_users() -> None:
    world = World(40, 3 * TILE + 5, 16, scale=2)
    rank = Rank(0.7, 1.3)
    whole = world.folded(10, rank, [])
    split = world.folded(10, rank, [TILE, 2 * TILE])
    world.x, world.seen = world.x[29:33], world.seen[29:33]
    some = world.folded(10, rank, [])
    for name in ("position", "raw", "log_sum"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(split, name))
        np.testing.assert_array_equal(getattr(whole, name)[29:33], getattr(some, name))


def test_near_ties_below_float32_are_decided_in_float64() -> None:
    y = np.zeros((100, 2), np.float32)
    theta = np.zeros((100, 2), np.float32)
    theta[:, 0] = 1
    theta[:, 1] = np.linspace(0, 9e-9, 100)  # invisible beside 1 in float32
    items = item_block(0, y, theta, np.zeros(100, np.float32), np.ones(100, bool))
    state = fold(empty_state(1, 3), user_block(np.ones((1, 2), np.float32)), items, Rank())
    assert state.position.tolist() == [[99, 98, 97]]


def test_zero_vectors_have_cosine_zero() -> None:
    world = World(2, 10)
    world.x[0], world.y[3] = 0, 0
    got = world.folded(10, Rank(), [])
    assert (got.cosine[0][got.position[0] != NO_ITEM] == 0).all()
    assert (got.cosine[got.position == 3] == 0).all()
    assert np.isfinite(got.log_sum).all()


def test_without_users_the_state_is_empty() -> None:
    world = World(0, 10)
    assert world.folded(3, Rank(), []).position.shape == (0, 3)


def test_widths_that_differ_are_refused() -> None:
    world = World(2, 10)
    with pytest.raises(DataError, match="users 3, items 4"):
        fold(
            empty_state(2, 1),
            user_block(world.x[:, :3]),
            item_block(0, world.y, world.theta, world.bias, world.available),
            Rank(),
        )


def test_overflowing_logits_are_refused() -> None:
    world = World(2, 10, scale=1e30)
    with pytest.raises(DataError, match="exceed what float32 can hold"):
        world.folded(3, Rank(), [])


def test_chunk_size_does_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(100, TILE, 16)
    whole = world.folded(10, Rank(), [])
    monkeypatch.setattr(topn, "CHUNK", 33)
    chunked = world.folded(10, Rank(), [])
    for name in ("position", "raw", "log_sum"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(chunked, name))
