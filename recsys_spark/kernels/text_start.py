"""The weights training begins with: what the texts say by themselves.

Projections of text vectors that begin at random have to learn from behaviours alone that two titles mean the same, and of a
few hundred thousand behaviours they learn it for what is often chosen. So all three begin as the principal directions of the
catalogue's text vectors, and the tower's linear path as a multiple of the identity: the first logits are those of text
neighbours, and behaviours change them from there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsys_spark.kernels.layout import F32
from recsys_spark.kernels.objective import Trainable
from recsys_spark.kernels.process_group import ALONE, Group

PATH_START = 0.1
"""The linear path, times the identity."""
VARIANCE = 1 / 3
"""Of a number of a projected vector, as where torch draws the weights."""
ROWS_AT_ONCE = 16_384


@torch.no_grad()
def start_from_text(model: Trainable, vectors: Tensor, group: Group = ALONE) -> None:
    """Set the projections of ``model`` by the centred text ``vectors`` [n, h] of its items, zero rows where there are none.

    Where these say nothing (one item, numbers that are none), all stays at random. The processes of a ``group`` take the
    first one's: the last bits of such a decomposition, and its signs, are the machine's.
    """
    width = model.items.w_theta.weight.shape[0]
    start = torch.from_numpy(group.first(lambda: projection(vectors.numpy(), width)))
    if not len(start):
        return
    for linear in (model.items.w_in, model.items.w_theta, model.items.w_y):
        linear.weight[: len(start)] = start
    model.tower.bag.weight.copy_(PATH_START * torch.eye(width))


def projection(vectors: F32, width: int) -> F32:
    """The ``width`` principal directions [at most width, h] of ``vectors`` [n, h], scaled to VARIANCE; none where all is zero or no number.

    >>> projection(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]], np.float32), 1).astype(float).round(3).tolist()
    [[0.272, 0.0]]
    """
    squares = np.zeros((vectors.shape[1], vectors.shape[1]))
    for low in range(0, len(vectors), ROWS_AT_ONCE):
        some = vectors[low : low + ROWS_AT_ONCE].astype(np.float64)
        squares += some.T @ some
    if not (np.isfinite(squares).all() and squares.any()):
        return np.empty((0, vectors.shape[1]), np.float32)
    values, directions = np.linalg.eigh(squares)
    # Ascending, and of either sign.
    kept = directions[:, ::-1][:, :width].T
    kept = kept * np.sign(np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], axis=1))
    n_present = np.count_nonzero(vectors.any(1))
    variance = values[::-1][:width].sum() / n_present / len(kept)
    scaled: npt.NDArray[np.float32] = (kept * np.sqrt(VARIANCE / variance)).astype(np.float32)
    return scaled
