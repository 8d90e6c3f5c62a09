"""Training of the towers: walks through the histories, steps the optimiser, reports each epoch, makes the artifact."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recsys_spark.config import Model as ModelConfig
from recsys_spark.errors import TrainingError
from recsys_spark.kernels.artifact import FORMAT, Artifact
from recsys_spark.kernels.batches import Schedule, batches, n_batches
from recsys_spark.kernels.choices import USUAL_COSINE, USUAL_STRENGTH, Choices, better_by, choose
from recsys_spark.kernels.epochs import EpochLoss, OnEpoch, TrialEpoch
from recsys_spark.kernels.histories import Histories, shuffled_ties, with_social
from recsys_spark.kernels.links import evidence_without_self, fit_links
from recsys_spark.kernels.links_device import DeviceLinks
from recsys_spark.kernels.model import SCALAR_STEPS, TowerShape
from recsys_spark.kernels.objective import Catalogue, Objective, Trainable
from recsys_spark.kernels.popularity import IS_COLD, popularity_at, replay
from recsys_spark.kernels.recommender import Recommender
from recsys_spark.kernels.validation import Asked, Found, HeldOut, hold_out, measure

STOPPING_ERRORS = 2.0
"""Of the paired difference to the best of all epochs, which is the best by chance as well."""


@dataclass(frozen=True)
class Trial:
    """What the trial run decided."""

    entries: Sequence[TrialEpoch]
    epochs: int
    """For how many to train; 0 where the trial does not say"""
    choices: Choices
    found: Found | None
    """How the held-out behaviours were found with these choices, before cold items were pushed"""


NO_TRIAL = Trial((), 0, Choices(), None)


@dataclass(frozen=True)
class Data:
    """All that training is told."""

    catalogue: Catalogue
    histories: Histories
    """Items are positions in the catalogue"""
    behaviours: Sequence[str]
    """Types, in the order of Histories.behaviours"""
    type_weights: Sequence[float]
    """[n types] configured weights"""
    default_weight: float
    """Of behaviours of other types"""
    half_life_days: float
    """Of the recent popularity"""
    max_history: int
    predict_repeats: bool = False
    """Whether an item is a target at every occurrence in a history, not at its first alone. Lists without seen items want
    the first alone; else browse, cart, purchase of one item would teach little but to repeat."""

    def before(self, histories: Histories, moment: float) -> Data:
        """Fewer behaviours, and the popularity that they gave at ``moment``."""
        popularity = popularity_at(
            moment,
            histories.items,
            histories.times,
            self.weights_of(histories),
            len(self.catalogue.ids),
            self.half_life_days,
        )
        return replace(self, histories=histories, catalogue=replace(self.catalogue, popularity=popularity))

    @property
    def all_weights(self) -> npt.NDArray[np.float64]:
        """[n types + 1] configured weights, and that of types which the configuration does not name."""
        return np.append(np.asarray(self.type_weights, np.float64), self.default_weight)

    def weights_of(self, histories: Histories) -> npt.NDArray[np.float64]:
        """[total] configured weight of each behaviour."""
        return self.all_weights[histories.behaviours]


def fit(
    data: Data, settings: ModelConfig, *, seed: int, on_epoch: OnEpoch = lambda _: None, device: str = "cpu"
) -> Artifact:
    """Train on ``device`` and return the artifact.

    A trial run without the held-out behaviours says what the loss cannot (`Choices`), and with `patience` after how many epochs
    to stop; then the model that is returned is trained on everything. Raises TrainingError where no user has a behaviour, or where the loss is
    no longer a finite number.
    """
    if not len(data.histories.items):
        raise TrainingError(
            "There is nothing to train on",
            where="train",
            found="no user with a behaviour of positive weight on an item of the catalogue",
            expected="at least one history",
            action="Check [behaviours.weights] and value_transform: behaviours of weight 0 make no history.",
        )
    started = time.monotonic()
    held = (
        hold_out(data.histories, len(data.catalogue.ids), data.predict_repeats, np.random.default_rng(seed))
        if settings.trial_epochs or settings.patience
        else None
    )
    trial = NO_TRIAL if held is None else try_out(data, held, settings, seed, on_epoch, device)
    run = Run(data, settings, seed, device)
    losses = []
    for entry in run.epochs(trial.epochs or settings.epochs):
        losses.append(entry)
        on_epoch(entry)
    facts = {
        "trial": [entry.as_dict() for entry in trial.entries],
        "held_out": asdict(trial.found) if trial.found else None,
        "losses": [entry.as_dict() for entry in losses],
        "seconds": time.monotonic() - started,
    }
    return run.artifact(facts, trial.choices)


def try_out(data: Data, held: HeldOut, settings: ModelConfig, seed: int, on_epoch: OnEpoch, device: str) -> Trial:
    """Train without the held-out behaviours: `trial_epochs`, or with `patience` until so many of the last epochs were worse.

    Worse is what is worse than the best by more than STOPPING_ERRORS: ndcg of a few hundred users goes up and down by itself.
    """
    past = data.before(held.train, held.moment)
    run = Run(past, settings, seed, device)
    entries: list[TrialEpoch] = []
    best, good = np.empty(0), 0
    chosen: Asked
    n_epochs = settings.epochs if settings.patience else min(settings.trial_epochs, settings.epochs)
    for loss in run.epochs(n_epochs):
        if not settings.patience and loss.epoch < n_epochs:
            entries.append(TrialEpoch(loss, None))
            on_epoch(entries[-1])
            continue
        asked = Asked(held, Recommender(run.artifact({}, Choices(link_strength=1.0))), past.catalogue)
        found, per_user = measure(asked, USUAL_STRENGTH, USUAL_COSINE)
        entries.append(TrialEpoch(loss, found))
        on_epoch(entries[-1])
        if not good or not better_by(STOPPING_ERRORS, best, per_user):
            good, chosen = loss.epoch, asked
        elif loss.epoch - good >= settings.patience:
            break
        if not len(best) or per_user.mean() > best.mean():
            best = per_user
    choices, found = choose(chosen, settings.cold_item_cost)
    return Trial(entries, good if settings.patience else 0, choices, found)


class Run:
    """One training, from fresh weights."""

    def __init__(self, data: Data, settings: ModelConfig, seed: int, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self.data, self.settings, self.rng = data, settings, np.random.default_rng(seed)
        catalogue, histories = data.catalogue, data.histories
        self.warm, positions = np.unique(histories.items, return_inverse=True)
        self.shape = TowerShape(
            width=settings.width,
            text_width=catalogue.vectors.shape[1],
            n_behaviours=len(data.behaviours),
            max_history=data.max_history,
            n_layers=settings.n_layers,
            n_heads=settings.n_heads,
            dropout=settings.dropout,
        )
        self.device = torch.device(device)
        self.model = Trainable(self.shape, catalogue, self.warm).to(self.device)
        # Inside training an item is its row among the warm items: nothing of the cold ones is needed before serving.
        social = np.searchsorted(self.warm, histories.social_items)
        known = self.warm[np.minimum(social, len(self.warm) - 1)] == histories.social_items
        self.histories = replace(with_social(histories, social, known), items=positions)
        now = catalogue.popularity.features(catalogue.popularity.units())[self.warm]
        replayed = replay(
            positions, histories.times, data.weights_of(histories), len(self.warm), data.half_life_days, now
        )
        self.settled = replayed.known[-1].astype(np.float32)
        counts = np.bincount(positions, minlength=len(self.warm))
        fitted = fit_links(
            self.histories, len(self.warm), most_items=settings.linked_items, penalty=settings.link_penalty
        )
        self.links = fitted.links()
        self.objective = Objective(
            self.model,
            catalogue,
            self.warm,
            counts,
            replayed,
            data.all_weights,
            settings,
            data.predict_repeats,
            partial(evidence_without_self, fitted)
            if self.device.type == "cpu"
            else DeviceLinks(fitted, self.device).evidence_without_self,
        )

    def epochs(self, n: int) -> Iterator[EpochLoss]:
        """Train for ``n`` epochs, at the end of which the learning rate has come down."""
        settings, rng = self.settings, self.rng
        schedule = Schedule(self.model, settings, n * n_batches(self.histories, settings.batch_positions))
        for epoch in range(1, n + 1):
            started, sums = time.monotonic(), np.zeros(3)
            for rows in batches(self.histories, settings.batch_positions, rng):
                result = self.objective(shuffled_ties(self.histories.take(rows), rng), rng)
                if result is None:
                    continue
                loss, parts, count = result
                if not torch.isfinite(loss):
                    raise TrainingError(
                        "The training loss is no longer a number",
                        where=f"epoch {epoch}",
                        found=loss.item(),
                        action="Lower model.learning_rate; check the embeddings for odd values.",
                    )
                schedule.apply(loss)
                sums += np.array([parts[0] * count, parts[1] * count, count])
            means = sums[:2] / max(sums[2], 1)
            total = float(means[0] + settings.bce_weight * means[1])
            yield EpochLoss(epoch, n, total, float(means[0]), float(means[1]), time.monotonic() - started)

    def artifact(self, facts: dict[str, Any], choices: Choices) -> Artifact:
        """The weights as they are now and what was chosen beside them."""
        tensors = {name: value.detach().cpu().numpy().copy() for name, value in self.model.state_dict().items()}
        tensors["items.settled"] = self.settled
        tensors |= {f"links.{name}": values for name, values in self.links._asdict().items()}
        tensors["temperature"] = np.array(choices.temperature, np.float32)
        tensors["items.beta"] = tensors["items.beta"] + np.float32(choices.cold_item_boost) * IS_COLD
        tensors["items.link"][0] += np.float32(np.log(choices.link_strength) / SCALAR_STEPS)
        return Artifact(
            tensors,
            {
                "format": FORMAT,
                "shape": self.shape.as_dict(),
                "behaviours": list(self.data.behaviours),
                "warm_item_ids": [str(i) for i in self.data.catalogue.ids[self.warm]],
                "n_users": int(self.histories.n_users),
                "n_positions": len(self.histories.items),
                "first_time": float(self.histories.times.min()),
                "last_time": float(self.histories.times.max()),
                **asdict(choices),
                "device": self.device.type,
                **facts,
            },
        )
