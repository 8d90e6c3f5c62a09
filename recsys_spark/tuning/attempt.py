"""One try of a configuration of `[model]`: trained without the newest behaviours and measured on them, user by user."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.errors import DataError
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.arrays import F64
from recsys_spark.training.kernels.asked import Asked, measure
from recsys_spark.training.kernels.choosing import choose
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.held_out import MIN_USERS, hold_out
from recsys_spark.training.kernels.run import OnEpoch, Run


@dataclass(frozen=True)
class Tried:
    """The result of a try."""

    found: Found
    """Metrics on the held-out behaviours, with links, cosine and temperature chosen there as a trial run chooses
    them"""
    ndcg: F64
    """[n] ndcg of each user who was asked; the same users in the same order for every configuration of the same data
    and seed"""
    losses: Sequence[EpochLoss]
    seconds: float


def try_configuration(
    data: Data, settings: ModelConfig, *, seed: int, on_epoch: OnEpoch = lambda _: None, device: str = "cpu"
) -> Tried:
    """Train for all `epochs` without the held-out behaviours, and return the metrics on them.

    The held-out behaviours depend only on ``data`` and ``seed``. `trial_epochs` and `patience` do not count here.
    Raises DataError if too few users can be asked, TrainingError if the loss is no longer a finite number.
    """
    started = time.monotonic()
    held = hold_out(data.histories, len(data.catalogue.ids), data.predict_repeats, np.random.default_rng(seed))
    if held is None:
        raise DataError(
            "Too few users to try configurations on",
            where="tune",
            found=f"{int((data.histories.lengths > 1).sum()):,} of {data.histories.n_users:,} users "
            "have two behaviours or more",
            expected=f"at least {MIN_USERS} users whose newest items can be held out "
            "and who have earlier ones to learn from",
            action="Tune on more data, or with a later --as-of, when users have done more. "
            "Until then keep the usual values.",
        )
    past = data.before(held.train, held.moment)
    run = Run(past, settings, seed, device)
    losses = []
    for loss in run.epochs(settings.epochs):
        losses.append(loss)
        on_epoch(TrialEpoch(loss, None))
    model = run.artifact(Choices.as_trained())
    asked = Asked(held, Recommender(model), past.catalogue)

    def asked_with(choices: Choices) -> Asked:
        return Asked(held, Recommender(replace(model, tensors=choices.apply(model.tensors))), past.catalogue)

    choices, found = choose(asked, settings.cold_item_cost, asked_with)
    # The chosen weight of the cosine goes with log P; here it goes with the logits.
    _, ndcg = measure(asked, choices.link_strength, choices.w_cos * choices.temperature)
    return Tried(found, ndcg, losses, time.monotonic() - started)
