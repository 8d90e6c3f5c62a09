"""Training of the towers: a trial run that decides what the loss cannot, then the run that makes the artifact."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from recsys_spark.config.sections import Model as ModelConfig
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact, is_link
from recsys_spark.model.kernels.choices import USUAL_COSINE, USUAL_STRENGTH, Choices
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.arrays import F64
from recsys_spark.training.kernels.checkpoints import NO_CHECKPOINTS, Checkpoints, State
from recsys_spark.training.kernels.choosing import better_by, choose
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.held_out import Asked, HeldOut, hold_out, measure
from recsys_spark.training.kernels.run import Run, Step
from recsys_spark.worker.process_group import ALONE, Group

STOPPING_ERRORS = 2.0
"""Of the paired difference to the best of all epochs, which is the best by chance as well."""
TRIAL, FINAL = "trial", "final"
GOOD, BEST = "good.", "best"
OnStep = Callable[[Step], None]
OnEpoch = Callable[[EpochLoss | TrialEpoch], None]


@dataclass(frozen=True)
class Trial:
    """What the trial run decided."""

    entries: Sequence[TrialEpoch]
    epochs: int
    """For how many to train; 0 where the trial does not say"""
    choices: Choices
    found: Found | None
    """How the held-out behaviours were found with these choices, before cold items were pushed"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "entries": [entry.as_dict() for entry in self.entries]}

    @staticmethod
    def parse(values: Mapping[str, Any]) -> Trial:
        """Inverse of :meth:`as_dict`."""
        found = Found(**values["found"]) if values["found"] else None
        entries = tuple(map(TrialEpoch.parse, values["entries"]))
        return Trial(entries, values["epochs"], Choices(**values["choices"]), found)


NO_TRIAL = Trial((), 0, Choices(), None)


def fit(
    data: Data,
    settings: ModelConfig,
    *,
    seed: int,
    on_epoch: OnEpoch = lambda _: None,
    on_step: OnStep = lambda _: None,
    device: str = "cpu",
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    saved: State | None = None,
    earlier: Artifact | None = None,
    group: Group = ALONE,
) -> Artifact:
    """Train on ``device`` and return the artifact.

    A trial run without the held-out behaviours says what the loss cannot (`Choices`), and with `patience` after how many epochs
    to stop; then the model that is returned is trained on everything. With ``saved``, which the ``checkpoints`` of a training
    that was stopped hold, it goes on from there. From an ``earlier`` model it takes `warm_epochs`, without a trial: that
    model has seen what would be held out, so its choices stay. The processes of a ``group`` call it together, each with users of its own
    and the whole catalogue, and get the same model.

    Raises TrainingError where no user has a behaviour, or where the loss is no longer a finite number.
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
        trial = NO_TRIAL
        if settings.trial_epochs or settings.patience:
            held = hold_out(
                data.histories, len(data.catalogue.ids), data.predict_repeats, np.random.default_rng(seed), group
            )
            if held:
                trial = try_out(
                    data, held, settings, seed, on_epoch, device,
                    on_step=on_step, checkpoints=checkpoints, saved=saved, group=group,
                )  # fmt: skip
    run = Run(data, settings, seed, device, earlier, group)
    losses = [EpochLoss(**entry) for entry in in_final.facts["losses"]] if in_final else []

    def after(step: Step) -> None:
        on_step(step)
        if checkpoints.due(step.done):
            facts = {"trial": trial.as_dict(), "losses": [entry.as_dict() for entry in losses]}
            state = step.state().beside({}, run=FINAL, seconds=time.monotonic() - started, **facts)
            if group.rank == 0:
                checkpoints.save(state)

    for entry in run.epochs(trial.epochs or settings.epochs, resumed=in_final, on_step=after):
        losses.append(entry)
        on_epoch(entry)
    return run.artifact(trial.choices).noting(
        trial=tuple(trial.entries),
        held_out=trial.found,
        losses=tuple(losses),
        seconds=time.monotonic() - started,
    )


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
    saved: State | None = None,
    group: Group = ALONE,
) -> Trial:
    """Train without the held-out behaviours: `trial_epochs`, or with `patience` until so many of the last epochs were worse.

    Worse is what is worse than the best by more than STOPPING_ERRORS: ndcg of a few hundred users goes up and down by itself.
    With ``saved`` it goes on where that was.
    """
    started = time.monotonic() - (saved.facts["seconds"] if saved else 0.0)
    past = data.before(held.train, held.moment, group)
    run = Run(past, settings, seed, device, group=group)

    def asked_by(model: Artifact) -> Asked:
        return Asked(held, Recommender(model), past.catalogue)

    def measured(model: Artifact) -> tuple[Found, F64]:
        return measure(asked_by(model), USUAL_STRENGTH, USUAL_COSINE)

    entries = [TrialEpoch.parse(entry) for entry in saved.facts["entries"]] if saved else []
    good: int = saved.facts["good"] if saved else 0
    best = saved.tensors[BEST] if saved else np.empty(0)
    chosen = run.artifact(Choices.as_trained())
    if saved and good:
        kept = {name.removeprefix(GOOD): value for name, value in saved.tensors.items() if name.startswith(GOOD)}
        chosen = replace(chosen, tensors={**chosen.tensors, **kept})

    def after(step: Step) -> None:
        on_step(step)
        if checkpoints.due(step.done):
            # Links are fitted again, which takes less time than to write them often.
            of_good = {f"{GOOD}{name}": v for name, v in chosen.tensors.items() if good and not is_link(name)}
            facts = {"entries": [entry.as_dict() for entry in entries], "good": good}
            state = step.state().beside({BEST: best, **of_good}, run=TRIAL, seconds=time.monotonic() - started, **facts)
            if group.rank == 0:
                checkpoints.save(state)

    n_epochs = settings.epochs if settings.patience else min(settings.trial_epochs, settings.epochs)
    for loss in run.epochs(n_epochs, resumed=saved, on_step=after):
        if not settings.patience and loss.epoch < n_epochs:
            entries.append(TrialEpoch(loss, None))
            on_epoch(entries[-1])
            continue
        model = run.artifact(Choices.as_trained())
        found, per_user = group.first(partial(measured, model))
        entries.append(TrialEpoch(loss, found))
        on_epoch(entries[-1])
        if not good or not better_by(STOPPING_ERRORS, best, per_user):
            good, chosen = loss.epoch, model
        elif loss.epoch - good >= settings.patience:
            break
        if not len(best) or per_user.mean() > best.mean():
            best = per_user

    def asked_with(choices: Choices) -> Asked:
        return asked_by(replace(chosen, tensors=choices.apply(chosen.tensors)))

    choices, found = group.first(lambda: choose(asked_by(chosen), settings.cold_item_cost, asked_with))
    return Trial(entries, good if settings.patience else 0, choices, found)
