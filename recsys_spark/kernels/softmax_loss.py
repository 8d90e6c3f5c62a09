"""Weighted softmax cross-entropy over all items, in blocks that stay in cache.

The plain form writes a matrix of predictions x items to memory several times (logits, log-softmax, gradients). Here each
block of predictions makes its logits, its loss and its gradients while they are in cache, so that the cost is that of
the three matrix products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK_ELEMENTS = 1 << 20


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, bias: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        grad_x, grad_theta, grad_bias = torch.empty_like(x), torch.zeros_like(theta), torch.zeros_like(bias)
        loss = x.new_zeros(())
        rows = max(1, BLOCK_ELEMENTS // max(len(theta), 1))
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            logits = torch.addmm(bias, x[part], theta.T)
            own = logits.gather(1, target[part].unsqueeze(1))
            largest = logits.max(1, keepdim=True).values
            p = logits.sub_(largest).exp_()
            z = p.sum(1, keepdim=True)
            loss += ((largest + z.log() - own).squeeze(1) * weight[part]).sum()
            # d loss / d logits = weight * (P - 1 at the target)
            scale = weight[part].unsqueeze(1)
            gradient = p.mul_(scale / z)
            gradient.scatter_add_(1, target[part].unsqueeze(1), -scale)
            torch.mm(gradient, theta, out=grad_x[part])
            grad_theta.addmm_(gradient.T, x[part])
            grad_bias += gradient.sum(0)
        ctx.save_for_backward(grad_x, grad_theta, grad_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_x, grad_theta, grad_bias = ctx.saved_tensors
        [scale] = grad_outputs
        return grad_x * scale, grad_theta * scale, grad_bias * scale, None, None


def softmax_loss(x: Tensor, theta: Tensor, bias: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return sum_i weight_i * -log softmax(theta x_i + bias)[target_i], a scalar.

    Shapes: x [n, d], theta [n_items, d], bias [n_items], target [n] int64, weight [n]. Differentiable by x, theta, bias.

    >>> x, theta, bias = torch.zeros(1, 2), torch.zeros(4, 2), torch.zeros(4)
    >>> round(softmax_loss(x, theta, bias, torch.tensor([3]), torch.ones(1)).item(), 4)
    1.3863
    """
    loss: Tensor = _SoftmaxLoss.apply(x, theta, bias, target, weight)  # type: ignore[no-untyped-call]
    return loss
