"""The walk of a training run through its histories: batches of users of like length, and the optimiser's schedule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.numerics.arrays import I64
from recsys_spark.worker.process_group import ALONE, Group

MIN_LEARNING_RATE_SHARE = 0.02


class Schedule:
    """AdamW with warm-up, cosine decay and gradient clipping."""

    def __init__(self, model: nn.Module, settings: ModelConfig, steps: int, peak: float) -> None:
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=peak, weight_decay=settings.weight_decay)
        self.peak, self.total, self.done = peak, max(1, steps), 0

    def apply(self, loss: Tensor | None, weight: float, group: Group = ALONE) -> float:
        """Make one optimiser step of the whole ``group`` and return the weighted mean of their losses.

        A loss of None has weight 0. No step is made if the mean is not a finite number.
        """
        warmup = max(1, min(200, self.total // 10))
        progress = min(1.0, self.done / self.total)
        decay = MIN_LEARNING_RATE_SHARE + (1 - MIN_LEARNING_RATE_SHARE) * 0.5 * (1 + np.cos(np.pi * progress))
        for settings in self.optimizer.param_groups:
            settings["lr"] = self.peak * min(1.0, (self.done + 1) / warmup) * decay
        self.optimizer.zero_grad(set_to_none=True)
        if loss is not None:
            loss.backward()  # type: ignore[no-untyped-call]
        mean = group.average(self.parameters, 0.0 if loss is None else loss.item(), weight)
        if not np.isfinite(mean):
            return mean
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.done += 1
        return mean


def batches(histories: Histories, batch_positions: int, rng: np.random.Generator) -> Iterator[I64]:
    """Yield users of like length together, so that there is little padding; batches are in random order."""
    order = rng.permutation(histories.n_users)
    by_length = order[np.argsort(histories.lengths[order], kind="stable")]
    by_length = by_length[histories.lengths[by_length] > 0]
    cuts = _cuts(histories.lengths[by_length], batch_positions)
    for k in rng.permutation(len(cuts) - 1):
        yield by_length[cuts[k] : cuts[k + 1]]


def n_batches(histories: Histories, batch_positions: int) -> int:
    """Return the number of batches per epoch."""
    lengths = np.sort(histories.lengths[histories.lengths > 0])
    return len(_cuts(lengths, batch_positions)) - 1


def _cuts(lengths: I64, batch_positions: int) -> list[int]:
    """Return the borders of batches of ascending lengths with at most ``batch_positions`` padded positions each."""
    cuts, start = [0], 0
    for end, length in enumerate(lengths):
        if end > start and (end - start + 1) * (length + 2) > batch_positions:
            cuts.append(end)
            start = end
    return [*cuts, len(lengths)]
