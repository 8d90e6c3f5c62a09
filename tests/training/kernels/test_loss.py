"""The blocked softmax loss against PyTorch's own, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from recsys_spark.training.kernels import loss as module
from recsys_spark.training.kernels.loss import Boosts, softmax_loss


@pytest.mark.parametrize("block_elements", [1, 30, 1 << 20])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_loss_and_gradients_equal_pytorchs_own(
    monkeypatch: pytest.MonkeyPatch, block_elements: int, scale: float
) -> None:
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", block_elements)
    torch.manual_seed(0)
    x, theta, bias = torch.randn(17, 4) * scale, torch.randn(9, 4), torch.randn(9)
    target, weight = torch.randint(9, (17,)), torch.rand(17)
    row, item = (torch.rand(17, 9) < 0.3).nonzero(as_tuple=True)
    boost = torch.rand(len(row))
    results = []
    for loss_of in (
        lambda x, t, b, v: softmax_loss(x, t, b, target, weight, Boosts(row, item, v)),
        lambda x, t, b, v: (
            F.cross_entropy((x @ t.T + b).index_put((row, item), v, accumulate=True), target, reduction="none") * weight
        ).sum(),
    ):
        leaves = [value.double().float().clone().requires_grad_() for value in (x, theta, bias, boost)]
        loss = loss_of(*leaves)
        (loss * 3).backward()
        results.append([loss.detach(), *(leaf.grad for leaf in leaves)])
    for ours, plain in zip(*results, strict=True):
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4 * scale)


def test_boosts_of_some_rows_are_renumbered_and_looked_up() -> None:
    boosts = Boosts(torch.tensor([0, 0, 2, 3]), torch.tensor([4, 1, 0, 2]), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    some = boosts.of_rows(torch.tensor([0, 3]), 4)
    assert (some.row.tolist(), some.item.tolist()) == ([0, 0, 1], [4, 1, 2])
    found = some.at(torch.tensor([[1, 1, 4, 0], [2, 3, 1, 2]]), 5)
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.2, 0.1, 0.0], [0.4, 0.0, 0.0, 0.4]]))
    drawn = torch.tensor([2, 1, 2, 3, 4])
    torch.testing.assert_close(some.over(drawn, 2), some.at(drawn.expand(2, -1), 5))
