"""The weights that training begins with: they already say what the texts say.

If the projections of text vectors begin at random, they learn only from behaviours that two titles mean the same. From
a few hundred thousand behaviours they learn it only for items that are often chosen.

So all three projections begin as the principal directions of the catalogue's text vectors. The tower's linear path
begins as a multiple of the identity: it adds the similarities of texts to the first logits. Behaviours change both from
there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys_spark.numerics.arrays import F32
from recsys_spark.training.kernels.trainable import Trainable
from recsys_spark.worker.process_group import ALONE, Group

PATH_START = 0.1
"""Factor of the identity in the tower's linear path."""
VARIANCE = 1 / 3
"""Variance of a number of a projected vector, as where torch draws the weights."""
MIN_SHARE = 1e-6
"""Share of the largest variance. In directions with less, texts differ only by rounding."""
MIN_TOTAL = 0.5
"""Smallest mean variance of the centred numbers, which is 1 in general. Equal texts have only the variance of
rounding."""
ROWS_AT_ONCE = 16_384


@torch.no_grad()
def start_from_text(model: Trainable, vectors: Tensor, group: Group = ALONE) -> None:
    """Set the projections of ``model`` by the centred text ``vectors`` [n, h] of its items; rows of items without a
    text are zero.

    Rows beyond the number of directions stay random. If the texts say nothing (one item, equal texts, NaN), all rows
    do. The processes of a ``group`` take the numbers of the first one: the last bits of such a decomposition depend on
    the machine.
    """
    width = model.items.w_theta.weight.shape[0]
    start = torch.from_numpy(group.first(lambda: projection(vectors.numpy(), width)))
    if not len(start):
        return
    for linear in (model.items.w_in, model.items.w_theta, model.items.w_y):
        linear.weight[: len(start)] = start
    model.tower.bag.weight.copy_(PATH_START * torch.eye(width))


def projection(vectors: F32, width: int) -> F32:
    """Return at most ``width`` principal directions [w, h] of ``vectors`` [n, h], scaled to VARIANCE; none if the texts
    say nothing.

    >>> vectors = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]], np.float32)
    >>> projection(vectors, 1).astype(float).round(3).tolist()
    [[0.272, 0.0]]
    """
    squares, none = np.zeros((vectors.shape[1], vectors.shape[1])), np.empty((0, vectors.shape[1]), np.float32)
    for low in range(0, len(vectors), ROWS_AT_ONCE):
        some = vectors[low : low + ROWS_AT_ONCE].astype(np.float64)
        squares += some.T @ some
    if not np.isfinite(squares).all():
        return none
    n_present = int(vectors.any(1).sum())
    values, directions = np.linalg.eigh(squares / max(1, n_present))
    # The values ascend; the directions have either sign.
    if values.mean() < MIN_TOTAL:
        return none
    chosen = np.flatnonzero(values > MIN_SHARE * values[-1])[::-1][:width]
    kept = directions[:, chosen].T
    signs = np.sign(np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], axis=1))
    scaled: F32 = (kept * signs * np.sqrt(VARIANCE / values[chosen].mean())).astype(np.float32)
    return scaled
