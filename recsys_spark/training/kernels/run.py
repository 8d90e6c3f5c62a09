"""One training run: steps through the histories, from fresh weights, from an earlier model's, or from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.epochs import EpochLoss, TrialEpoch
from recsys_spark.model.kernels.facts import ModelFacts
from recsys_spark.model.kernels.histories import shuffled_ties, with_social
from recsys_spark.model.kernels.popularity import replay
from recsys_spark.model.kernels.tower import TowerShape
from recsys_spark.numerics.arrays import F32
from recsys_spark.training.kernels.batches import Schedule, batches, n_batches
from recsys_spark.training.kernels.checkpoints import CPU_DRAWS, GPU_DRAWS, Place, TrainingState
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.link_fit import Fitted, evidence_without_self, fit_links
from recsys_spark.training.kernels.links_gpu import DeviceLinks
from recsys_spark.training.kernels.mixed_precision import BFLOAT16, FLOAT32, in_bfloat16
from recsys_spark.training.kernels.objective import Objective
from recsys_spark.training.kernels.predictions import may_be_asked
from recsys_spark.training.kernels.reproducible import reproducible
from recsys_spark.training.kernels.text_start import start_from_text
from recsys_spark.training.kernels.trainable import Trainable
from recsys_spark.training.kernels.warm_start import WARM_LEARNING_RATE, start_from
from recsys_spark.worker.process_group import ALONE, Group


class Step(NamedTuple):
    """A step that was made."""

    done: int
    """steps of the run so far"""
    of: int
    """steps of the whole run"""
    loss: float
    state: Callable[[], TrainingState]
    """the state from which training can go on at this step"""


OnStep = Callable[[Step], None]
OnEpoch = Callable[[EpochLoss | TrialEpoch], None]


class Run:
    """One training, from fresh weights or from those of ``earlier``."""

    def __init__(
        self,
        data: Data,
        settings: ModelConfig,
        seed: int,
        device: str = "cpu",
        earlier: Artifact | None = None,
        group: Group = ALONE,
    ) -> None:
        torch.manual_seed(seed)
        self.data, self.settings, self.group = data, settings, group
        self.rng = np.random.default_rng([seed, group.rank] if group.rank else seed)
        self.batch_positions = -(-settings.batch_positions // group.size)
        catalogue, histories = data.catalogue, data.histories
        counts = group.add_up(np.bincount(histories.items, minlength=len(catalogue.ids)))
        self.warm = np.flatnonzero(counts)
        self.shape = shape_of(
            settings,
            text_width=catalogue.vectors.shape[1],
            n_behaviours=len(data.behaviours),
            max_history=data.max_history,
        )
        self.device = torch.device(device)
        self.model, self.peak = self._model(earlier), settings.learning_rate * (WARM_LEARNING_RATE if earlier else 1.0)
        if group.rank:
            # Processes begin with the same weights, and hide other parts of them in a step.
            torch.manual_seed(seed + group.rank)
        # Inside training an item is its row among the warm items: cold items are not needed before scoring.
        positions = np.searchsorted(self.warm, histories.items)
        social = np.searchsorted(self.warm, histories.social_items)
        known = self.warm[np.minimum(social, len(self.warm) - 1)] == histories.social_items
        self.histories = replace(with_social(histories, social, known), items=positions)
        fitted = fit_links(
            self.histories,
            len(self.warm),
            most_items=settings.linked_items,
            penalty=settings.link_penalty,
            group=group,
        )
        self.links = fitted.links()
        self.objective, self.settled = self._objective(fitted)

    def _model(self, earlier: Artifact | None) -> Trainable:
        """Return the weights that the run starts with, on its device."""
        catalogue, warm = self.data.catalogue, self.warm
        model = Trainable(self.shape, catalogue, warm)
        if earlier:
            start_from(model, catalogue.ids[warm], earlier)
        else:
            start_from_text(model, model.centred(catalogue.vectors[warm], catalogue.has_vector[warm]), self.group)
        return model.to(self.device)

    def _objective(self, fitted: Fitted) -> tuple[Objective, F32]:
        """Return the loss of a batch, and 1 for each warm item [n_warm] that has been a target while it was warm,
        else 0."""
        data, group, n_warm, items = self.data, self.group, len(self.warm), self.histories.items
        popularity = data.catalogue.popularity
        now = popularity.features(popularity.units())[self.warm]
        weights = data.weights_of(data.histories)
        replayed = replay(items, data.histories.times, weights, n_warm, data.half_life_days, now, group)
        asked = may_be_asked(self.histories, data.predict_repeats)
        asked_for = group.add_up(np.bincount(items[asked], minlength=n_warm))
        on_cpu = self.device.type == "cpu"
        evidence = (
            partial(evidence_without_self, fitted) if on_cpu else DeviceLinks(fitted, self.device).evidence_without_self
        )
        objective = Objective(
            self.model,
            data.catalogue,
            self.warm,
            asked_for,
            replayed,
            data.all_weights,
            self.settings,
            data.predict_repeats,
            evidence,
        )
        # An item that was never asked for has no learned part except in histories.
        return objective, (replayed.known[-1] & (asked_for > 0)).astype(np.float32)

    def epochs(
        self, n: int, *, resumed: TrainingState | None = None, on_step: Callable[[Step], None] = lambda _: None
    ) -> Iterator[EpochLoss]:
        """Train for ``n`` epochs; at their end the learning rate has come down.

        With ``resumed`` the run goes on from that state, and ends with the same weights as if it had never been
        stopped.
        """
        settings, rng, group = self.settings, self.rng, self.group
        schedule = Schedule(
            self.model, settings, n * max(group.gather(n_batches(self.histories, self.batch_positions))), peak=self.peak
        )
        place = self._restore(resumed, schedule) if resumed else None
        for epoch in range(place.epoch if place else 1, n + 1):
            if place:
                rng.bit_generator.state = place.draws[group.rank][0]
            draws_at_start = rng.bit_generator.state
            walk = list(batches(self.histories, self.batch_positions, rng))
            n_before, sums, spent = 0, np.zeros(3), 0.0
            if place:
                rng.bit_generator.state = place.draws[group.rank][1]
                n_before, sums, spent, place = place.n_done, np.array(place.sums), place.seconds, None
            started = time.monotonic() - spent
            # A process without batches left steps with the others.
            walk += [np.empty(0, np.int64)] * (max(group.gather(len(walk))) - len(walk))
            for n_done, rows in enumerate(walk[n_before:], n_before + 1):
                with reproducible(self.device):
                    result = self.objective(shuffled_ties(self.histories.take(rows), rng), rng) if len(rows) else None
                    loss, parts, count = result or (None, (0.0, 0.0), 0)
                    if not group.add_up(np.array([count])):
                        continue
                    mean = schedule.apply(loss, count, group)
                if not np.isfinite(mean):
                    raise TrainingError(
                        "The training loss is no longer a number",
                        where=f"epoch {epoch}",
                        found=mean,
                        expected="a finite number",
                        action="Lower model.learning_rate; check the embeddings for odd values.",
                    )
                sums += np.array([parts[0] * count, parts[1] * count, count])
                now = Place(
                    epoch,
                    n_done,
                    schedule.done,
                    sums.tolist(),
                    seconds=time.monotonic() - started,
                    draws=[[draws_at_start, rng.bit_generator.state]],
                )
                on_step(Step(schedule.done, schedule.total, mean, partial(self._state, schedule, now)))
            sums = group.add_up(sums)
            means = sums[:2] / max(sums[2], 1)
            total = float(means[0] + settings.bce_weight * means[1])
            yield EpochLoss(epoch, n, total, float(means[0]), float(means[1]), time.monotonic() - started)

    def _state(self, schedule: Schedule, place: Place) -> TrainingState:
        """Return weights, the optimiser's moments, all generators and the place; all processes of the group call it."""
        moments = {
            k: {name: value.cpu().numpy() for name, value in values.items()}
            for k, values in schedule.optimizer.state_dict()["state"].items()
        }
        own = {CPU_DRAWS: torch.get_rng_state().numpy()}
        if self.device.type == "cuda":
            own[GPU_DRAWS] = torch.cuda.get_rng_state(self.device).numpy()
        return TrainingState.of_run(self._weights(), moments, self.group.gather((own, place)))

    def _restore(self, state: TrainingState, schedule: Schedule) -> Place:
        def own(values: Mapping[str, npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
            return {name: torch.from_numpy(value.copy()) for name, value in values.items()}

        self.model.load_state_dict(own(state.weights()))
        optimiser = schedule.optimizer
        moments = {k: own(values) for k, values in state.moments().items()}
        optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
        rank = self.group.rank
        draws = own(
            {
                name: state.tensors[f"{name}{rank}"]
                for name in (CPU_DRAWS, GPU_DRAWS)
                if f"{name}{rank}" in state.tensors
            }
        )
        torch.set_rng_state(draws[CPU_DRAWS])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(draws[GPU_DRAWS], self.device)
        place = state.place(rank)
        schedule.done = place.n_steps
        return place

    def _weights(self) -> dict[str, Any]:
        return {name: value.detach().cpu().numpy().copy() for name, value in self.model.state_dict().items()}

    def artifact(self, choices: Choices) -> Artifact:
        """Return the model with its present weights and ``choices`` put in; all processes of the group call it."""
        own, gather = self.histories, self.group.gather
        tensors = self._weights()
        tensors["items.settled"] = self.settled
        tensors |= {f"links.{name}": values for name, values in self.links._asdict().items()}
        facts = ModelFacts(
            shape=self.shape,
            behaviours=tuple(self.data.behaviours),
            warm_item_ids=tuple(str(i) for i in self.data.catalogue.ids[self.warm]),
            choices=choices,
            n_users=sum(gather(own.n_users)),
            n_positions=sum(gather(len(own.items))),
            first_time=min(gather(float(own.times.min(initial=np.inf)))),
            last_time=max(gather(float(own.times.max(initial=-np.inf)))),
            device=self.device.type,
            precision=BFLOAT16 if in_bfloat16(self.settings.precision, self.device) else FLOAT32,
        )
        return Artifact(choices.apply(tensors), facts)


def shape_of(settings: ModelConfig, *, text_width: int, n_behaviours: int, max_history: int) -> TowerShape:
    """Return the shape of the towers that these settings ask for."""
    return TowerShape(
        width=settings.width,
        text_width=text_width,
        n_behaviours=n_behaviours,
        max_history=max_history,
        n_layers=settings.n_layers,
        n_heads=settings.n_heads,
        dropout=settings.dropout,
    )
