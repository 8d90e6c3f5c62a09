"""A tried configuration: measured as train's trial is, user by user, on users that no configuration changes."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.errors import DataError, TrainingError
from recsys_spark.model.kernels.epochs import TrialEpoch
from recsys_spark.training.kernels.held_out import hold_out
from recsys_spark.training.kernels.trial import try_out
from recsys_spark.tuning.attempt import Tried, try_configuration
from tests.model.worlds import N_ITEMS, data, histories
from tests.training.trial_worlds import users_over_time

SETTINGS = Model(width=8, n_layers=1, n_heads=1, epochs=2, trial_epochs=1, patience=1, batch_positions=256)
WORLD = data(users_over_time())


@pytest.fixture(scope="module")
def tried() -> Tried:
    return try_configuration(WORLD, SETTINGS, seed=3)


def test_it_is_measured_as_a_trial_of_all_epochs_is(tried: Tried) -> None:
    held = hold_out(WORLD.histories, N_ITEMS, False, np.random.default_rng(3))
    assert held is not None
    long = SETTINGS.model_copy(update={"trial_epochs": SETTINGS.epochs, "patience": 0})
    trial = try_out(WORLD, held, long, 3, lambda _: None, "cpu")
    assert trial.found is not None
    assert asdict(tried.found) == pytest.approx(asdict(trial.found), rel=1e-6)
    assert len(tried.ndcg) == held.asked.n_users


def test_the_users_behind_the_mean_are_those_of_the_chosen_lists(tried: Tried) -> None:
    assert tried.ndcg.mean() == pytest.approx(tried.found.ndcg, rel=1e-6)
    assert tried.ndcg.std() > 0


def test_all_epochs_are_trained_and_told() -> None:
    told: list[TrialEpoch] = []
    tried = try_configuration(WORLD, SETTINGS.model_copy(update={"epochs": 3}), seed=3, on_epoch=told.append)  # type: ignore[arg-type]
    assert [loss.epoch for loss in tried.losses] == [1, 2, 3]
    assert [entry.loss for entry in told] == list(tried.losses)
    assert tried.seconds > sum(loss.seconds for loss in tried.losses)


def test_too_few_users_are_refused_with_how_many_there_are() -> None:
    with pytest.raises(DataError, match="Too few users") as caught:
        try_configuration(data(histories([[1, 2, 3], [4], [5, 6]])), SETTINGS, seed=0)
    assert "2 of 3 users" in str(caught.value)


def test_nobody_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="Too few users"):
        try_configuration(data(histories([[]])), SETTINGS, seed=0)


def test_a_loss_that_is_no_number_ends_the_try() -> None:
    with pytest.raises(TrainingError, match="no longer a number"):
        try_configuration(WORLD, SETTINGS.model_copy(update={"learning_rate": 1e30, "epochs": 6}), seed=0)
