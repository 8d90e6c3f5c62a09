"""The trial run: trains without the newest behaviours and decides on them what the loss cannot decide."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.model.kernels.artifact import Artifact, is_link
from recsys_spark.model.kernels.choices import USUAL_COSINE, USUAL_STRENGTH, Choices
from recsys_spark.model.kernels.epochs import Found, TrialEpoch
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.arrays import F64
from recsys_spark.training.kernels.asked import Asked, measure
from recsys_spark.training.kernels.checkpoint_files import NO_CHECKPOINTS, Checkpoints
from recsys_spark.training.kernels.checkpoints import TRIAL, TrainingState
from recsys_spark.training.kernels.choosing import better_by, choose
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.held_out import HeldOut
from recsys_spark.training.kernels.run import OnEpoch, OnStep, Run, Step
from recsys_spark.worker.process_group import ALONE, Group

STOPPING_ERRORS = 2.0
"""Standard errors of the paired difference to the best of all epochs, which is the best partly by chance."""
GOOD, BEST = "good.", "best"


@dataclass(frozen=True)
class Trial:
    """The decisions of a trial run."""

    entries: Sequence[TrialEpoch]
    epochs: int
    """Number of epochs to train; 0 if the trial does not decide it"""
    choices: Choices
    found: Found | None
    """Metrics on the held-out behaviours with these choices, before cold items were pushed"""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**asdict(self), "entries": [entry.as_dict() for entry in self.entries]}

    @staticmethod
    def parse(values: Mapping[str, Any]) -> Trial:
        """Return the trial of :meth:`as_dict`."""
        found = Found(**values["found"]) if values["found"] else None
        entries = tuple(map(TrialEpoch.parse, values["entries"]))
        return Trial(entries, values["epochs"], Choices(**values["choices"]), found)


NO_TRIAL = Trial((), 0, Choices(), None)


def try_out(
    data: Data,
    held: HeldOut,
    settings: ModelConfig,
    seed: int,
    on_epoch: OnEpoch,
    device: str,
    *,
    on_step: OnStep = lambda _: None,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    saved: TrainingState | None = None,
    group: Group = ALONE,
) -> Trial:
    """Train without the held-out behaviours, and return the decisions that are best on them.

    Training takes `trial_epochs`. With `patience` it ends when that many epochs in a row were worse. An epoch is worse
    if it is below the best by more than STOPPING_ERRORS: ndcg of a few hundred users goes up and down by itself. With
    ``saved`` the trial goes on from that state.
    """
    started = time.monotonic() - (saved.seconds if saved else 0.0)
    past = data.before(held.train, held.moment, group)
    run = Run(past, settings, seed, device, group=group)

    def asked_by(model: Artifact) -> Asked:
        return Asked(held, Recommender(model), past.catalogue)

    def measured(model: Artifact) -> tuple[Found, F64]:
        return measure(asked_by(model), USUAL_STRENGTH, USUAL_COSINE)

    so_far = _SoFar.of(saved, run.artifact(Choices.as_trained()))

    def after(step: Step) -> None:
        on_step(step)
        if checkpoints.due(step.done):
            state = so_far.added_to(step.state(), time.monotonic() - started)
            if group.rank == 0:
                checkpoints.save(state)

    n_epochs = settings.epochs if settings.patience else min(settings.trial_epochs, settings.epochs)
    for loss in run.epochs(n_epochs, resumed=saved, on_step=after):
        if not settings.patience and loss.epoch < n_epochs:
            so_far.entries.append(TrialEpoch(loss, None))
            on_epoch(so_far.entries[-1])
            continue
        model = run.artifact(Choices.as_trained())
        found, per_user = group.first(partial(measured, model))
        so_far.entries.append(TrialEpoch(loss, found))
        on_epoch(so_far.entries[-1])
        if so_far.is_over(loss.epoch, model, per_user, settings.patience):
            break
    chosen = so_far.chosen

    def asked_with(choices: Choices) -> Asked:
        return asked_by(replace(chosen, tensors=choices.apply(chosen.tensors)))

    choices, found = group.first(lambda: choose(asked_by(chosen), settings.cold_item_cost, asked_with))
    return Trial(so_far.entries, so_far.good if settings.patience else 0, choices, found)


@dataclass
class _SoFar:
    """The results of a trial run so far; a checkpoint holds them."""

    entries: list[TrialEpoch]
    chosen: Artifact
    """The model of the last epoch that was not clearly worse"""
    good: int
    """The number of that epoch, 0 before the first measurement"""
    best: F64
    """[n] ndcg of each held-out user after the epoch with the best mean; empty before the first measurement"""

    @staticmethod
    def of(saved: TrainingState | None, fresh: Artifact) -> _SoFar:
        """Return the results in ``saved``; ``fresh`` is a model from the start of its run."""
        if not saved:
            return _SoFar([], fresh, 0, np.empty(0))
        good: int = saved.facts["good"]
        of_good = {name.removeprefix(GOOD): value for name, value in saved.tensors.items() if name.startswith(GOOD)}
        chosen = replace(fresh, tensors={**fresh.tensors, **of_good}) if good else fresh
        return _SoFar([TrialEpoch.parse(entry) for entry in saved.facts["entries"]], chosen, good, saved.tensors[BEST])

    def added_to(self, state: TrainingState, seconds: float) -> TrainingState:
        """Return ``state`` of the trial run with these results; the trial has taken ``seconds``."""
        # Links are left out: fitting them again takes less time than writing them often.
        of_good = {f"{GOOD}{n}": v for n, v in self.chosen.tensors.items() if self.good and not is_link(n)}
        facts = {"entries": [entry.as_dict() for entry in self.entries], "good": self.good}
        return state.adding(TRIAL, seconds, {BEST: self.best, **of_good}, facts)

    def is_over(self, epoch: int, model: Artifact, per_user: F64, patience: int) -> bool:
        """Take in the ndcg of each user after an epoch, and return whether ``patience`` epochs were worse since the
        last good one."""
        if not self.good or not better_by(STOPPING_ERRORS, self.best, per_user):
            self.good, self.chosen = epoch, model
        elif epoch - self.good >= patience:
            return True
        if not len(self.best) or per_user.mean() > self.best.mean():
            self.best = per_user
        return False
