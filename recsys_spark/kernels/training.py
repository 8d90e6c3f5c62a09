"""Training of the towers: walks through the histories, steps the optimiser, reports each epoch, makes the artifact."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recsys_spark.config import Model as ModelConfig
from recsys_spark.errors import TrainingError
from recsys_spark.kernels.artifact import Artifact
from recsys_spark.kernels.batches import Schedule, batches, n_batches
from recsys_spark.kernels.histories import Histories, shuffled_ties
from recsys_spark.kernels.model import TowerShape
from recsys_spark.kernels.objective import Catalogue, Objective, Trainable


@dataclass(frozen=True)
class EpochLoss:
    """Mean losses of an epoch and how long it took."""

    epoch: int
    loss: float
    cross_entropy: float
    bce: float
    seconds: float


def fit(
    catalogue: Catalogue,
    histories: Histories,
    behaviours: Sequence[str],
    settings: ModelConfig,
    *,
    max_history: int,
    seed: int,
    predict_repeats: bool = False,
    on_epoch: Callable[[EpochLoss], None] = lambda _: None,
) -> Artifact:
    """Train on the histories and return the artifact.

    Where ``predict_repeats`` is false, as lists without seen items want it, an item is a target only at its first
    occurrence in a history; otherwise browse, cart, purchase of one item would teach little but to repeat.
    Raises TrainingError where no user has a behaviour, or where the loss is no longer a finite number.
    """
    if not len(histories.items):
        raise TrainingError(
            "There is nothing to train on",
            where="train",
            found="no user with a behaviour of positive weight on an item of the catalogue",
            expected="at least one history",
            action="Check [behaviours.weights] and value_transform: behaviours of weight 0 make no history.",
        )
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    warm, positions = np.unique(histories.items, return_inverse=True)
    counts = np.bincount(positions, minlength=len(warm))
    shape = TowerShape(
        width=settings.width,
        text_width=catalogue.vectors.shape[1],
        n_behaviours=len(behaviours),
        max_history=max_history,
        n_layers=settings.n_layers,
        n_heads=settings.n_heads,
        dropout=settings.dropout,
    )
    model = Trainable(shape, catalogue, warm)
    # Inside training an item is its row among the warm items: nothing of the cold ones is needed before serving.
    social = np.searchsorted(warm, histories.social_items)
    known = warm[np.minimum(social, len(warm) - 1)] == histories.social_items
    histories = _renumbered(histories, positions, np.where(known, social, 0), known)
    step = Objective(model, catalogue, warm, counts, settings, predict_repeats)
    started, losses = time.monotonic(), []
    schedule = Schedule(model, settings, n_batches(histories, settings.batch_positions))
    for epoch in range(1, settings.epochs + 1):
        epoch_started = time.monotonic()
        sums = np.zeros(3)
        for rows in batches(histories, settings.batch_positions, rng):
            result = step(shuffled_ties(histories.take(rows), rng), rng)
            if result is None:
                continue
            loss, parts, n = result
            if not torch.isfinite(loss):
                raise TrainingError(
                    "The training loss is no longer a number",
                    where=f"epoch {epoch}",
                    found=loss.item(),
                    action="Lower model.learning_rate; check the embeddings for odd values.",
                )
            schedule.apply(loss)
            sums += np.array([parts[0] * n, parts[1] * n, n])
        means = sums[:2] / max(sums[2], 1)
        total = float(means[0] + settings.bce_weight * means[1])
        entry = EpochLoss(epoch, total, float(means[0]), float(means[1]), time.monotonic() - epoch_started)
        losses.append(entry)
        on_epoch(entry)
    facts: dict[str, Any] = {
        "shape": shape.as_dict(),
        "behaviours": list(behaviours),
        "warm_item_ids": [str(i) for i in catalogue.ids[warm]],
        "losses": [vars(entry) for entry in losses],
        "seconds": time.monotonic() - started,
        "n_users": int(histories.n_users),
        "n_positions": len(histories.items),
    }
    return Artifact({name: value.numpy() for name, value in model.state_dict().items()}, facts)


def _renumbered(
    histories: Histories,
    items: npt.NDArray[np.int64],
    social: npt.NDArray[np.int64],
    keep: npt.NDArray[np.bool_],
) -> Histories:
    offsets = np.concatenate([[0], np.cumsum(keep)])[histories.social_offsets].astype(np.int64)
    return Histories(
        **{
            **vars(histories),
            "items": items,
            "social_items": social[keep],
            "social_weights": histories.social_weights[keep],
            "social_offsets": offsets,
        }
    )
