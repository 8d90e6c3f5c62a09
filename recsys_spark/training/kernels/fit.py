"""Training of the towers: a trial run that makes the choices, then the run that makes the artifact."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.epochs import EpochLoss
from recsys_spark.training.kernels.checkpoint_files import NO_CHECKPOINTS, Checkpoints
from recsys_spark.training.kernels.checkpoints import FINAL, TrainingState
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.held_out import hold_out
from recsys_spark.training.kernels.run import OnEpoch, OnStep, Run, Step
from recsys_spark.training.kernels.trial import NO_TRIAL, Trial, try_out
from recsys_spark.worker.process_group import ALONE, Group


def fit(
    data: Data,
    settings: ModelConfig,
    *,
    seed: int,
    on_epoch: OnEpoch = lambda _: None,
    on_step: OnStep = lambda _: None,
    device: str = "cpu",
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    saved: TrainingState | None = None,
    earlier: Artifact | None = None,
    group: Group = ALONE,
) -> Artifact:
    """Train on ``device`` and return the artifact.

    A trial run without the held-out behaviours makes the `Choices`. With `patience` it also decides after how many
    epochs to stop. Then the model that is returned is trained on all behaviours.

    ``saved`` is a state from the ``checkpoints`` of a stopped training: training goes on there. From an ``earlier``
    model it takes `warm_epochs`, without a trial. That model has seen the behaviours to hold out, so its choices stay.

    The processes of a ``group`` call it together and get the same model. Each has its own users and all items.

    Raises TrainingError if no user has a behaviour, or if the loss is no longer a finite number.
    """
    if not sum(group.gather(len(data.histories.items))):
        raise TrainingError(
            "There is nothing to train on",
            where="train",
            found="no user with a behaviour of positive weight on an item of the catalogue",
            expected="at least one history",
            action="Check [behaviours.weights] and value_transform: behaviours of weight 0 make no history.",
        )
    started = time.monotonic() - (saved.seconds if saved else 0.0)
    in_final = saved if saved and saved.run == FINAL else None
    so_far = _SoFar.of(in_final) if in_final else _SoFar(NO_TRIAL, [])
    if earlier:
        so_far.trial = replace(NO_TRIAL, epochs=settings.warm_epochs, choices=earlier.facts.choices)
    elif not in_final:
        so_far.trial = _trial(data, settings, seed, on_epoch, device, on_step, checkpoints, saved, group)
    run = Run(data, settings, seed, device, earlier, group)

    def after(step: Step) -> None:
        on_step(step)
        if checkpoints.due(step.done):
            # All processes of the group give their part of the state; the first one writes it.
            state = so_far.added_to(step.state(), time.monotonic() - started)
            if group.rank == 0:
                checkpoints.save(state)

    for entry in run.epochs(so_far.trial.epochs or settings.epochs, resumed=in_final, on_step=after):
        so_far.losses.append(entry)
        on_epoch(entry)
    return run.artifact(so_far.trial.choices).noting(
        trial=tuple(so_far.trial.entries),
        held_out=so_far.trial.found,
        losses=tuple(so_far.losses),
        seconds=time.monotonic() - started,
    )


def _trial(
    data: Data,
    settings: ModelConfig,
    seed: int,
    on_epoch: OnEpoch,
    device: str,
    on_step: OnStep,
    checkpoints: Checkpoints,
    saved: TrainingState | None,
    group: Group,
) -> Trial:
    """Return the trial that the settings ask for; NO_TRIAL if they ask for none or too few users can be held out."""
    if not (settings.trial_epochs or settings.patience):
        return NO_TRIAL
    rng = np.random.default_rng(seed)
    held = hold_out(data.histories, len(data.catalogue.ids), data.predict_repeats, rng, group)
    if not held:
        return NO_TRIAL
    return try_out(
        data,
        held,
        settings,
        seed,
        on_epoch,
        device,
        on_step=on_step,
        checkpoints=checkpoints,
        saved=saved,
        group=group,
    )


@dataclass
class _SoFar:
    """The results of a training when its final run begins, and then epoch by epoch; a checkpoint holds them."""

    trial: Trial
    losses: list[EpochLoss]

    @staticmethod
    def of(saved: TrainingState) -> _SoFar:
        """Return the results in a state of the final run."""
        losses = [EpochLoss(**entry) for entry in saved.facts["losses"]]
        return _SoFar(Trial.parse(saved.facts["trial"]), losses)

    def added_to(self, state: TrainingState, seconds: float) -> TrainingState:
        """Return ``state`` of the final run with these results; the training has taken ``seconds``."""
        facts = {"trial": self.trial.as_dict(), "losses": [entry.as_dict() for entry in self.losses]}
        return state.adding(FINAL, seconds, {}, facts)
