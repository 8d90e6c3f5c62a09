"""Weighted softmax cross-entropy over all items, in blocks that stay in cache.

The plain form writes a matrix of predictions x items to memory several times (logits, log-softmax, gradients). Here
each block of predictions makes its logits, its loss and its gradients while they are in cache. So the cost is the cost
of the three matrix products.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK_ELEMENTS = 1 << 20
DEVICE_BLOCK_ELEMENTS = 1 << 27
"""For a GPU: its memory is as fast for a large block, and a small block does not fill the GPU."""


class Boosts(NamedTuple):
    """Sparse additions to logits: ``value`` [nnz] is added at row ``row`` [nnz], ascending, and item ``item`` [nnz];
    no pair occurs twice."""

    row: Tensor
    item: Tensor
    value: Tensor

    def of_rows(self, rows: Tensor, n_rows: int) -> Boosts:
        """Return the boosts of some of ``n_rows`` rows, renumbered; ``rows`` ascend."""
        device = self.row.device
        place = torch.full((n_rows,), -1, device=device)
        place = place.index_copy_(0, rows, torch.arange(len(rows), device=device))[self.row]
        kept = place >= 0
        return Boosts(place[kept], self.item[kept], self.value[kept])

    def before(self, later: Boosts) -> Boosts:
        """Return these boosts and then ``later``, whose rows come after these."""
        return Boosts(*(torch.cat(columns) for columns in zip(self, later, strict=True)))

    def over(self, items: Tensor, n_rows: int) -> Tensor:
        """Return the values of ``items`` [k], which may repeat, in each row, [n_rows, k]; 0 where there is no boost.

        >>> boosts = Boosts(torch.tensor([0, 1]), torch.tensor([5, 2]), torch.tensor([0.5, 0.25]))
        >>> boosts.over(torch.tensor([5, 2, 5]), 2).tolist()
        [[0.5, 0.0, 0.5], [0.0, 0.25, 0.0]]
        """
        ordered, order = items.sort()
        low = torch.searchsorted(ordered, self.item)
        times = torch.searchsorted(ordered, self.item, right=True) - low
        cell = torch.repeat_interleave(times)
        column = order[low[cell] + torch.arange(len(cell), device=cell.device) - (times.cumsum(0) - times)[cell]]
        return self.value.new_zeros(n_rows, len(items)).index_put((self.row[cell], column), self.value[cell])

    def at(self, items: Tensor, n_items: int) -> Tensor:
        """Return the values of ``items`` [n_rows, k] in their rows, [n_rows, k]; 0 where there is no boost.

        >>> boosts = Boosts(torch.tensor([0, 1]), torch.tensor([5, 2]), torch.tensor([0.5, 0.25]))
        >>> boosts.at(torch.tensor([[2, 5], [2, 5]]), 6).tolist()
        [[0.0, 0.5], [0.25, 0.0]]
        """
        if not len(self.value):
            return self.value.new_zeros(items.shape)
        # Boosts ascend by row, but items within a row may not: the order for the search is made here.
        cells, order = (self.row * n_items + self.item).sort()
        wanted = torch.arange(len(items), device=items.device).unsqueeze(1) * n_items + items
        place = torch.searchsorted(cells, wanted.contiguous()).clamp(max=len(cells) - 1)
        return torch.where(cells[place] == wanted, self.value[order][place], 0.0)


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        theta: Tensor,
        bias: Tensor,
        target: Tensor,
        weight: Tensor,
        boost_row: Tensor,
        boost_item: Tensor,
        boost: Tensor,
    ) -> Tensor:
        grad_x, grad_theta, grad_bias = torch.empty_like(x), torch.zeros_like(theta), torch.zeros_like(bias)
        grad_boost = torch.empty_like(boost)
        loss = x.new_zeros(())
        most = BLOCK_ELEMENTS if x.device.type == "cpu" else DEVICE_BLOCK_ELEMENTS
        rows = max(1, most // max(len(theta), 1))
        starts = list(range(0, len(x), rows))
        edges = torch.searchsorted(boost_row, torch.tensor([*starts, len(x)], device=x.device)).tolist()
        for k, start in enumerate(starts):
            part, boosted = slice(start, start + rows), slice(edges[k], edges[k + 1])
            logits = torch.addmm(bias, x[part], theta.T)
            cells = (boost_row[boosted] - start) * len(theta) + boost_item[boosted]
            logits.view(-1).index_add_(0, cells, boost[boosted])
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
            grad_boost[boosted] = gradient.view(-1)[cells]
        ctx.save_for_backward(grad_x, grad_theta, grad_bias, grad_boost)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_x, grad_theta, grad_bias, grad_boost = ctx.saved_tensors
        [scale] = grad_outputs
        return grad_x * scale, grad_theta * scale, grad_bias * scale, None, None, None, None, grad_boost * scale


def softmax_loss(x: Tensor, theta: Tensor, bias: Tensor, target: Tensor, weight: Tensor, boosts: Boosts) -> Tensor:
    """Return sum_i weight_i * -log softmax(theta x_i + bias + boosts of row i)[target_i], a scalar.

    Shapes: x [n, d], theta [n_items, d], bias [n_items], target [n] int64, weight [n]. Differentiable by x, theta, bias
    and the boosts' values.

    >>> x, theta, bias = torch.zeros(1, 2), torch.zeros(4, 2), torch.zeros(4)
    >>> boosts = Boosts(torch.tensor([0]), torch.tensor([3]), torch.tensor([1.0986]))
    >>> loss = softmax_loss(x, theta, bias, torch.tensor([3]), torch.ones(1), boosts)
    >>> round(loss.exp().item(), 4)  # 3 of 1 + 1 + 1 + 3
    2.0
    """
    loss: Tensor = _SoftmaxLoss.apply(x, theta, bias, target, weight, *boosts)  # type: ignore[no-untyped-call]
    return loss
