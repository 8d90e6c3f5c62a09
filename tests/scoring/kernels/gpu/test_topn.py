"""The fold on a device against the float64 brute force: the same lists in every precision, log Z within its bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.errors import DataError
from recsys_spark.numerics.arrays import F64
from recsys_spark.scoring.kernels import topn
from recsys_spark.scoring.kernels.blocks import UserBlock, user_block
from recsys_spark.scoring.kernels.gpu import topn as device
from recsys_spark.scoring.kernels.gpu.precision import errors_of
from recsys_spark.scoring.kernels.gpu.topn import fold_on_device
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.sizes import NO_ITEM
from recsys_spark.scoring.kernels.topn import State, empty_state
from tests.scoring.score_worlds import World, assert_lists, drawn_case

DEVICES = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
FEW_BYTES = 60_000
"""Memory for tiles of a few dozen items, and too little for a block of items to stay."""


def folded(
    world: World,
    n: int,
    rank: Rank,
    on: torch.device,
    dtype: torch.dtype,
    cuts: list[int] | None = None,
    **options: Any,
) -> State:
    state = empty_state(len(world.x), n)
    for items in world.blocks(cuts or []):
        state = fold_on_device(state, world.users(), items, rank, on, dtype, **options)
    return state


def bound_of(world: World, rank: Rank, dtype: torch.dtype) -> F64:
    """What log Z may be off: the error of a logit, and float32 sums."""
    rank = Rank(0, 1, rank.scale, log_z=True)
    x, theta = (np.linalg.norm(v.astype(np.float64), axis=1) for v in (world.x, world.theta))
    reach = x * theta.max()
    bound: F64 = errors_of(world.users(), world.block(), rank, dtype) + 1e-6 * (1 + reach * rank.scale)
    return bound


def assert_as_brute_force(world: World, got: State, n: int, rank: Rank, dtype: torch.dtype) -> None:
    want = world.brute_force(n, rank)
    assert_lists(got, want)
    assert (np.abs(got.log_sum - want.log_sum) <= bound_of(world, rank, dtype)).all()


@pytest.fixture
def refolded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many users each call of the host's fold was given."""
    counts: list[int] = []
    fold = topn.fold

    def watched(state: State, users: UserBlock, *args: Any) -> State:
        counts.append(users.size)
        return fold(state, users, *args)

    monkeypatch.setattr(topn, "fold", watched)
    return counts


@pytest.mark.parametrize("on", DEVICES, ids=str)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_world_gives_the_brute_force_lists(on: torch.device, data: st.DataObject) -> None:
    world, rank, n, cuts = drawn_case(data)
    dtype = data.draw(st.sampled_from(DTYPES))
    options = {
        "margin": data.draw(st.sampled_from([None, 0, 5]), "margin"),
        "memory_bytes": data.draw(st.sampled_from([None, FEW_BYTES]), "memory"),
        "n_threads": data.draw(st.sampled_from([1, 3]), "threads"),
    }
    got = folded(world, n, rank, on, dtype, cuts, **options)
    assert_as_brute_force(world, got, n, rank, dtype)


@pytest.mark.parametrize("on", DEVICES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("levels", "margin"), [(0, None), (2, None), (0, 0), (2, 0)])
def test_many_chunks_and_tiles_give_the_brute_force_lists(
    on: torch.device, dtype: torch.dtype, levels: int, margin: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "CHUNK", 64)
    world = World(150, 2000, 16, levels=levels)
    got = folded(world, 20, Rank(), on, dtype, [1024], margin=margin, memory_bytes=2_000_000, n_threads=3)
    assert_as_brute_force(world, got, 20, Rank(), dtype)


@pytest.mark.parametrize("on", DEVICES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_default_margin_spares_the_host(on: torch.device, dtype: torch.dtype, refolded: list[int]) -> None:
    world = World(100, 3000, 32, scale=0.5)
    got = folded(world, 20, Rank(), on, dtype)
    assert_as_brute_force(world, got, 20, Rank(), dtype)
    assert not refolded


@pytest.mark.parametrize("on", DEVICES, ids=str)
def test_a_margin_that_is_too_small_costs_time_but_not_an_item(on: torch.device, refolded: list[int]) -> None:
    world = World(100, 3000, 32)
    got = folded(world, 20, Rank(), on, torch.bfloat16, margin=0)
    assert_as_brute_force(world, got, 20, Rank(), torch.bfloat16)
    assert refolded == [100]


@pytest.mark.parametrize("on", DEVICES, ids=str)
def test_only_users_in_doubt_are_folded_again(on: torch.device, refolded: list[int]) -> None:
    world = World(60, 800, 8)
    world.x[7] = world.x[44] = 0
    world.bias[:] = 1  # all items are equal for a user without a vector
    got = folded(world, 10, Rank(), on, torch.float32, [400])
    assert_as_brute_force(world, got, 10, Rank(), torch.float32)
    assert refolded == [2, 2]


@pytest.mark.parametrize("on", DEVICES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_scores_equal_gives_the_smallest_ids(
    on: torch.device, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "CHUNK", 8)
    world = World(30, 700)
    world.theta[:], world.y[:], world.bias[:] = 0, 0, 3
    got = folded(world, 5, Rank(), on, dtype, memory_bytes=FEW_BYTES, n_threads=3)
    assert_as_brute_force(world, got, 5, Rank(), dtype)


@pytest.mark.parametrize("on", DEVICES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("of_users", "of_items"), [(1e-6, 1e9), (1e12, 1e-15), (1.0, 1e5), (1e-30, 1e25)])
def test_values_that_float16_cannot_hold_do_no_harm(
    on: torch.device, dtype: torch.dtype, of_users: float, of_items: float, refolded: list[int]
) -> None:
    world = World(20, 500, 8)
    world.x, world.theta, world.y = (
        v * np.float32(f) for v, f in ((world.x, of_users), (world.theta, of_items), (world.y, of_items))
    )
    got = folded(world, 5, Rank(), on, dtype, margin=200)
    assert_as_brute_force(world, got, 5, Rank(), dtype)
    assert sum(refolded) < 10


@pytest.mark.parametrize("on", DEVICES, ids=str)
@pytest.mark.parametrize("bias", [1e4, -1e4])
def test_extreme_logits_neither_overflow_nor_vanish(on: torch.device, bias: float) -> None:
    world = World(20, 300)
    world.bias += np.float32(bias)
    world.bias[5] = -bias
    got = folded(world, 10, Rank(), on, torch.float32, [100], memory_bytes=FEW_BYTES)
    want = world.brute_force(10, Rank())
    np.testing.assert_array_equal(got.position, want.position)
    np.testing.assert_allclose(got.log_sum, want.log_sum, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "typical"), [(torch.float32, 1e-6), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_log_sum_is_far_better_than_its_bound(dtype: torch.dtype, typical: float) -> None:
    world = World(200, 2000, 64, scale=0.5)  # |x| |theta| is 16, so logits have a standard deviation of 2
    got, want = (
        folded(world, 5, Rank(), DEVICES[-1], dtype).log_sum,
        world.brute_force(5, Rank()).log_sum,
    )
    assert np.abs(got - want).max() < typical
    assert bound_of(world, Rank(), dtype).min() > 2 * np.abs(got - want).max()


@pytest.mark.parametrize("on", DEVICES, ids=str)
def test_the_host_may_go_on_where_the_device_stopped(on: torch.device) -> None:
    world, rank = World(30, 600), Rank(0.7, 1.2, 2.0)
    first, second = world.blocks([300])
    users = world.users()
    device_last = fold_on_device(
        topn.fold(empty_state(30, 9), users, first, rank), users, second, rank, on, torch.float32
    )
    host_last = topn.fold(
        fold_on_device(empty_state(30, 9), users, first, rank, on, torch.float32), users, second, rank
    )
    for state in (device_last, host_last):
        assert_as_brute_force(world, state, 9, rank, torch.float32)


def test_the_state_given_is_not_changed() -> None:
    world = World(10, 200)
    first, second = world.blocks([100])
    before = fold_on_device(empty_state(10, 5), world.users(), first, Rank(), DEVICES[-1], torch.float32)
    copy = before.copy()
    fold_on_device(before, world.users(), second, Rank(), DEVICES[-1], torch.float32, margin=0)
    for name in ("position", "raw", "peak", "total"):
        np.testing.assert_array_equal(getattr(before, name), getattr(copy, name))


def test_lists_without_log_z_are_the_same() -> None:
    world = World(40, 500)
    got, want = (folded(world, 7, Rank(log_z=log_z), DEVICES[-1], torch.float16) for log_z in (False, True))
    np.testing.assert_array_equal(got.position, want.position)
    assert np.isneginf(got.log_sum).all()


def test_users_without_a_vector_are_ranked_by_bias_on_the_device(refolded: list[int]) -> None:
    world = World(5, 400)
    world.x[:], world.bias[:] = 0, np.random.default_rng(0).permutation(400) * 1e-4
    got = folded(world, 10, Rank(), DEVICES[-1], torch.bfloat16, margin=1)
    assert_as_brute_force(world, got, 10, Rank(), torch.bfloat16)
    assert not refolded


def test_users_who_may_get_nothing_count_in_log_z(refolded: list[int]) -> None:
    world = World(5, 400)
    world.available[:200], world.seen[:] = False, True
    got = folded(world, 3, Rank(), DEVICES[-1], torch.float32, margin=0, memory_bytes=FEW_BYTES)
    assert (got.position == NO_ITEM).all()
    np.testing.assert_allclose(got.log_sum, world.brute_force(3, Rank()).log_sum, rtol=1e-6)
    assert not refolded


def test_without_users_the_state_is_empty() -> None:
    assert folded(World(0, 10), 3, Rank(), DEVICES[-1], torch.float16).position.shape == (0, 3)


def test_unfit_vectors_are_refused() -> None:
    world = World(2, 10)
    with pytest.raises(DataError, match="users 3, items 4"):
        fold_on_device(empty_state(2, 1), user_block(world.x[:, :3]), world.block(), Rank(), DEVICES[0], torch.float32)
    with pytest.raises(DataError, match="exceed what float32 can hold"):
        folded(World(2, 10, scale=1e30), 3, Rank(), DEVICES[0], torch.float32)
