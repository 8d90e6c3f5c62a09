"""What the fold on a device stands on: items kept in its memory, and products in float32."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch

from recsys_spark.numerics.full_precision import full_precision
from recsys_spark.scoring.kernels.blocks import ItemBlock, item_block
from recsys_spark.scoring.kernels.gpu import blocks as device_items
from recsys_spark.scoring.kernels.gpu import precision as device_products
from recsys_spark.scoring.kernels.gpu.blocks import RESIDENT, resident
from recsys_spark.scoring.kernels.gpu.precision import product
from recsys_spark.scoring.kernels.gpu.topn import fold_on_device
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.topn import empty_state
from tests.scoring.score_worlds import World

DEVICES = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()


def test_a_block_is_copied_once_and_freed_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    RESIDENT.clear()
    loads: list[int] = []
    load = device_items.load

    def watched(items: ItemBlock, *args: Any) -> Any:
        loads.append(items.start)
        return load(items, *args)

    monkeypatch.setattr(device_items, "load", watched)
    world = World(20, 300)
    blocks = world.blocks([100, 200])
    for _ in range(3):
        for items in blocks:
            fold_on_device(empty_state(20, 5), world.users(), items, Rank(), DEVICES[-1], torch.float16)
    assert loads == [0, 100, 200]
    assert len(RESIDENT) == 3
    del items, blocks
    gc.collect()
    assert not RESIDENT


def test_the_least_recently_used_block_gives_way() -> None:
    RESIDENT.clear()
    a, b, c = World(1, 300).blocks([100, 200])
    room = 2 * 100 * (2 * 4 * 4 + 8)
    for items in (a, b, a, c):
        assert resident(items, DEVICES[0], torch.float32, room) is not None
    assert [key[0] for key in RESIDENT] == [id(a), id(c)]
    assert resident(b, DEVICES[0], torch.float32, room // 2 - 1) is None


def test_device_tensors_are_scaled_exactly() -> None:
    items = item_block(
        0,
        np.zeros((2, 2), np.float32),
        np.array([[3e5, 4e5], [1, 0]], np.float32),
        np.zeros(2, np.float32),
        np.ones(2, bool),
    )
    held = device_items.load(items, 0, 2, DEVICES[0], torch.float32)
    assert (held.theta.numpy() * 2.0 ** device_items.exponent_of(items)).tolist() == items.theta.tolist()
    assert 0.5 <= held.theta.norm(dim=1).max() <= 1


@pytest.mark.parametrize("on", DEVICES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_products_of_halves_are_summed_in_float32(on: torch.device, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.normal(size=(20, 512))).to(dtype).to(on) for _ in range(2))
    got = product(a, b)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.cpu().double(), (a.double() @ b.double().T).cpu(), atol=1e-3, rtol=0)


def test_precision_settings_are_put_back() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    try:
        for tf32 in (True, False):
            matmul.allow_tf32 = tf32
            with full_precision():
                assert not matmul.allow_tf32
            assert matmul.allow_tf32 is tf32
    finally:
        matmul.allow_tf32 = before


def test_a_device_without_wide_products_is_found_out() -> None:
    assert not device_products._has_wide_products(torch.device("cpu"), torch.float16)
