"""Starting from an earlier model: the night's new behaviours are few, and the model already knows most of what there
is to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.tower import TowerShape
from recsys_spark.training.kernels.trainable import Trainable

WARM_LEARNING_RATE = 0.5
"""Peak learning rate of such a run, as a share of model.learning_rate."""
OF_ITEMS = ("items.delta", "items.correction")
OF_TONIGHT = "popularity_units"


def why_not(earlier: Artifact, behaviours: Sequence[str], shape: TowerShape) -> str | None:
    """Return why training of these behaviour types and sizes cannot start from ``earlier``; None if it can."""
    before = earlier.facts.behaviours
    if before != tuple(behaviours):
        return f"its behaviour types are {', '.join(before)}, and now {', '.join(behaviours)}"
    then, now = earlier.facts.shape.as_dict(), shape.as_dict()
    changed = [name for name, value in now.items() if then[name] != value and name != "dropout"]
    return ", ".join(f"its {name} is {then[name]}, and now {now[name]}" for name in changed) or None


def start_from(model: Trainable, ids: npt.NDArray[np.object_], earlier: Artifact) -> None:
    """Give ``model`` the weights of ``earlier``; ``ids`` [n_warm] are the items of ``model``.

    The learned part of an item goes with its id. An item that was not in training then begins with only its text: its
    learned part is zero, as it was in last night's lists. The mean of the text vectors stays the mean of the earlier
    model, because its projections were learned for it.
    """
    tensors = earlier.facts.choices.remove(earlier.tensors)
    rows = {item: k for k, item in enumerate(earlier.facts.warm_item_ids)}
    row = np.array([rows.get(str(item), -1) for item in ids], dtype=np.int64)
    weights: dict[str, torch.Tensor] = {}
    for name, own in model.state_dict().items():
        then = tensors[name]
        if name in OF_ITEMS:
            now = np.zeros(tuple(own.shape), np.float32)
            now[row >= 0] = then[row[row >= 0]]
        elif name == OF_TONIGHT:
            continue
        else:
            now = np.array(then)
        weights[name] = torch.from_numpy(now)
    model.load_state_dict(weights, strict=False)
