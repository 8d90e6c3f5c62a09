"""The weights training begins with: what the texts say by themselves.

Projections of text vectors that begin at random have to learn from behaviours alone that two titles mean the same,
and of a few hundred thousand behaviours they learn it for what is often chosen. So all three begin as the principal
directions of the catalogue's text vectors, and the tower's linear path as a multiple of the identity: what that path
adds to the first logits are the similarities of texts, and behaviours change them from there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys_spark.numerics.arrays import F32
from recsys_spark.training.kernels.trainable import Trainable
from recsys_spark.worker.process_group import ALONE, Group

PATH_START = 0.1
"""The linear path, times the identity."""
VARIANCE = 1 / 3
"""Of a number of a projected vector, as where torch draws the weights."""
MIN_SHARE = 1e-6
"""Of the largest variance; in directions of less, texts differ by rounding alone."""
MIN_TOTAL = 0.5
"""Mean variance of the centred numbers, which is 1; of equal texts there is only what rounding leaves."""
ROWS_AT_ONCE = 16_384


@torch.no_grad()
def start_from_text(model: Trainable, vectors: Tensor, group: Group = ALONE) -> None:
    """Set the projections of ``model`` by the centred text ``vectors`` [n, h] of its items, zero rows where there are
    none.

    Rows beyond the directions that there are stay at random, and where texts say nothing (one item, equal texts, NaN)
    all does. The processes of a ``group`` take the first one's: the last bits of such a decomposition are the
    machine's.
    """
    width = model.items.w_theta.weight.shape[0]
    start = torch.from_numpy(group.first(lambda: projection(vectors.numpy(), width)))
    if not len(start):
        return
    for linear in (model.items.w_in, model.items.w_theta, model.items.w_y):
        linear.weight[: len(start)] = start
    model.tower.bag.weight.copy_(PATH_START * torch.eye(width))


def projection(vectors: F32, width: int) -> F32:
    """At most ``width`` principal directions [w, h] of ``vectors`` [n, h], scaled to VARIANCE; none where they say
    nothing.

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
    # They come ascending, and of either sign.
    if values.mean() < MIN_TOTAL:
        return none
    chosen = np.flatnonzero(values > MIN_SHARE * values[-1])[::-1][:width]
    kept = directions[:, chosen].T
    signs = np.sign(np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], axis=1))
    scaled: F32 = (kept * signs * np.sqrt(VARIANCE / values[chosen].mean())).astype(np.float32)
    return scaled
