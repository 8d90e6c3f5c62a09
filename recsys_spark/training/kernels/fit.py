"""Training of the towers: a trial run that decides what the loss cannot, then the run that makes the artifact."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.epochs import EpochLoss
from recsys_spark.training.kernels.checkpoint_files import NO_CHECKPOINTS, Checkpoints
from recsys_spark.training.kernels.checkpoints import TrainingState
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.held_out import hold_out
from recsys_spark.training.kernels.run import OnEpoch, OnStep, Run, Step
from recsys_spark.training.kernels.trial import NO_TRIAL, Trial, try_out
from recsys_spark.worker.process_group import ALONE, Group

FINAL = "final"


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

    A trial run without the held-out behaviours decides what the loss cannot (`Choices`). With `patience` it also says
    after how many epochs to stop. Then the model that is returned is trained on everything.

    With ``saved``, a state that the ``checkpoints`` of a stopped training hold, training goes on from there. From an
    ``earlier`` model it takes `warm_epochs`, without a trial: that model has seen what would be held out, so its
    choices stay.

    The processes of a ``group`` call it together, each with users of its own and the whole catalogue, and get the
    same model.

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
    started = time.monotonic() - (saved.facts["seconds"] if saved else 0.0)
    in_final = saved if saved and saved.facts["run"] == FINAL else None
    if earlier:
        trial = replace(NO_TRIAL, epochs=settings.warm_epochs, choices=earlier.facts.choices)
    elif in_final:
        trial = Trial.parse(in_final.facts["trial"])
    else:
        trial = _trial(data, settings, seed, on_epoch, device, on_step, checkpoints, saved, group)
    run = Run(data, settings, seed, device, earlier, group)
    losses = [EpochLoss(**entry) for entry in in_final.facts["losses"]] if in_final else []

    def after(step: Step) -> None:
        on_step(step)
        if checkpoints.due(step.done):
            _save(checkpoints, step, trial, losses, time.monotonic() - started, group)

    for entry in run.epochs(trial.epochs or settings.epochs, resumed=in_final, on_step=after):
        losses.append(entry)
        on_epoch(entry)
    return run.artifact(trial.choices).noting(
        trial=tuple(trial.entries),
        held_out=trial.found,
        losses=tuple(losses),
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
    """The trial that the settings ask for; NO_TRIAL if they ask for none or too few users can be held out."""
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


def _save(
    checkpoints: Checkpoints, step: Step, trial: Trial, losses: Sequence[EpochLoss], seconds: float, group: Group
) -> None:
    """Write a checkpoint of the final run; all processes of the group give their part, the first one writes."""
    facts = {"trial": trial.as_dict(), "losses": [entry.as_dict() for entry in losses]}
    state = step.state().beside({}, run=FINAL, seconds=seconds, **facts)
    if group.rank == 0:
        checkpoints.save(state)
