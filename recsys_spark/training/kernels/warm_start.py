"""Starting from an earlier model: the night's new behaviours are few, and most of what is to be learned is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.popularity import cold_push
from recsys_spark.model.kernels.tower import SCALAR_STEPS, TowerShape
from recsys_spark.training.kernels.choices import CHOICES, Choices
from recsys_spark.training.kernels.objective import Trainable

WARM_LEARNING_RATE = 0.5
"""Peak learning rate of such a run, as a share of model.learning_rate."""
OF_ITEMS = ("items.delta", "items.correction")
OF_TONIGHT = "popularity_units"


def why_not(earlier: Artifact, behaviours: Sequence[str], shape: TowerShape) -> str | None:
    """Why training of these behaviour types and sizes cannot start from ``earlier``; None where it can."""
    then = earlier.facts["behaviours"], earlier.facts["shape"]
    if then[0] != list(behaviours):
        return f"its behaviour types are {', '.join(then[0])}, and now {', '.join(behaviours)}"
    changed = [name for name, value in shape.as_dict().items() if then[1].get(name) != value and name != "dropout"]
    if changed:
        return ", ".join(f"its {name} is {then[1].get(name)}, and now {shape.as_dict()[name]}" for name in changed)
    return None


def choices_of(earlier: Artifact) -> Choices:
    """What its trial chose."""
    return Choices(**{name: earlier.facts[name] for name in CHOICES})


def start_from(model: Trainable, ids: npt.NDArray[np.object_], earlier: Artifact) -> None:
    """Give ``model`` the weights of ``earlier``; ``ids`` [n_warm] are its items.

    What was learned of an item goes with its id. An item that was not in training then begins by its text alone: its learned
    part is zero, as it was in last night's lists. The mean of the text vectors stays that of the earlier model,
    which its projections were learned for.
    """
    choices = choices_of(earlier)
    rows = {item: k for k, item in enumerate(earlier.facts["warm_item_ids"])}
    row = np.array([rows.get(str(item), -1) for item in ids], dtype=np.int64)
    weights: dict[str, torch.Tensor] = {}
    for name, own in model.state_dict().items():
        then = earlier.tensors[name]
        if name in OF_ITEMS:
            now = np.zeros(tuple(own.shape), np.float32)
            now[row >= 0] = then[row[row >= 0]]
        elif name == OF_TONIGHT:
            continue
        else:
            now = np.array(then)
        weights[name] = torch.from_numpy(now)
    # The artifact has them with what was chosen added.
    weights["items.beta"] -= torch.from_numpy(cold_push(choices.cold_item_boost))
    weights["items.link"][0] -= float(np.log(choices.link_strength) / SCALAR_STEPS)
    model.load_state_dict(weights, strict=False)
