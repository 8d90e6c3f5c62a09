"""A tried configuration: measured like the trial of train, user by user, on the same users for every configuration."""

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


def test_a_try_has_the_metrics_of_a_trial_of_all_epochs(tried: Tried) -> None:
    held = hold_out(WORLD.histories, N_ITEMS, False, np.random.default_rng(3))
    assert held is not None
    long = SETTINGS.model_copy(update={"trial_epochs": SETTINGS.epochs, "patience": 0})
    trial = try_out(WORLD, held, long, 3, lambda _: None, "cpu")
    assert trial.found is not None
    assert asdict(tried.found) == pytest.approx(asdict(trial.found), rel=1e-6)
    assert len(tried.ndcg) == held.asked.n_users


def test_the_mean_of_the_users_ndcg_is_the_reported_ndcg(tried: Tried) -> None:
    assert tried.ndcg.mean() == pytest.approx(tried.found.ndcg, rel=1e-6)
    assert tried.ndcg.std() > 0


def test_a_try_trains_and_reports_all_epochs() -> None:
    told: list[TrialEpoch] = []
    tried = try_configuration(WORLD, SETTINGS.model_copy(update={"epochs": 3}), seed=3, on_epoch=told.append)  # type: ignore[arg-type]
    assert [loss.epoch for loss in tried.losses] == [1, 2, 3]
    assert [entry.loss for entry in told] == list(tried.losses)
    assert tried.seconds > sum(loss.seconds for loss in tried.losses)


def test_too_few_users_are_refused_and_the_error_counts_them() -> None:
    with pytest.raises(DataError, match="Too few users") as caught:
        try_configuration(data(histories([[1, 2, 3], [4], [5, 6]])), SETTINGS, seed=0)
    assert "2 of 3 users" in str(caught.value)


def test_data_without_behaviours_are_refused() -> None:
    with pytest.raises(DataError, match="Too few users"):
        try_configuration(data(histories([[]])), SETTINGS, seed=0)


def test_a_loss_that_is_not_a_number_ends_the_try() -> None:
    with pytest.raises(TrainingError, match="no longer a number"):
        try_configuration(WORLD, SETTINGS.model_copy(update={"learning_rate": 1e30, "epochs": 6}), seed=0)
