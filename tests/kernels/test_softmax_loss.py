"""The blocked softmax loss against PyTorch's own, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from recsys_spark.kernels import softmax_loss as module
from recsys_spark.kernels.softmax_loss import softmax_loss


@pytest.mark.parametrize("block_elements", [1, 30, 1 << 20])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_loss_and_gradients_equal_the_plain_form(
    monkeypatch: pytest.MonkeyPatch, block_elements: int, scale: float
) -> None:
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", block_elements)
    torch.manual_seed(0)
    x, theta, bias = torch.randn(17, 4) * scale, torch.randn(9, 4), torch.randn(9)
    target, weight = torch.randint(9, (17,)), torch.rand(17)
    results = []
    for loss_of in (
        lambda x, t, b: softmax_loss(x, t, b, target, weight),
        lambda x, t, b: (F.cross_entropy(x @ t.T + b, target, reduction="none") * weight).sum(),
    ):
        leaves = [value.double().float().clone().requires_grad_() for value in (x, theta, bias)]
        loss = loss_of(*leaves)
        (loss * 3).backward()
        results.append([loss.detach(), *(leaf.grad for leaf in leaves)])
    for ours, plain in zip(*results, strict=True):
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4 * scale)
