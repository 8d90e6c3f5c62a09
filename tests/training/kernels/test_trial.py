"""The length of a trial run and of a training, and that training takes the choices of the trial."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.training.kernels import trial as training
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.held_out import hold_out
from recsys_spark.training.kernels.trial import Trial, try_out
from tests.model.worlds import N_ITEMS, catalogue, data
from tests.training.trial_worlds import rng, users_over_time

SETTINGS = Model(width=16, n_layers=1, epochs=6, batch_positions=256, learning_rate=1e-2, dropout=0.0)
SURE, NOISY = 0.001, 2.0


def found(ndcg: float, noise: float) -> tuple[Found, np.ndarray]:
    """A measurement whose users differ by ``noise``, and differ otherwise in each measurement."""
    draws = np.random.default_rng(int(ndcg * 1e6)).normal(size=400) * noise
    return Found(ndcg, 0.0, 1.0, 1.3), ndcg + draws - draws.mean()


def trial_of(ndcgs: list[float], patience: int, noise: float, monkeypatch: pytest.MonkeyPatch) -> Trial:
    values = iter(ndcgs)
    monkeypatch.setattr(training, "measure", lambda *_: found(next(values), noise))
    users = users_over_time()
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    settings = SETTINGS.model_copy(update={"patience": patience})
    return try_out(data(users), held, settings, 0, lambda _: None, "cpu")


@pytest.mark.parametrize(
    ("ndcgs", "patience", "tried", "epochs"),
    [
        ([0.3, 0.2, 0.1], 2, 3, 1),
        ([0.1, 0.3, 0.2, 0.25], 2, 4, 2),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6, 6),
        ([0.1, 0.05], 1, 2, 1),
    ],
)
def test_a_trial_ends_after_patience_epochs_that_were_all_worse(
    ndcgs: list[float], patience: int, tried: int, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trial_of(ndcgs, patience, SURE, monkeypatch)
    assert (len(trial.entries), trial.epochs) == (tried, epochs)


def test_a_trial_is_not_stopped_by_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_of([0.11, 0.13, 0.12, 0.118, 0.125, 0.121], 2, NOISY, monkeypatch)
    assert (len(trial.entries), trial.epochs) == (6, 6)


def test_without_patience_trial_and_training_take_the_configured_epochs() -> None:
    seen: list[EpochLoss | TrialEpoch] = []
    settings = SETTINGS.model_copy(update={"trial_epochs": 2, "epochs": 3})
    artifact = fit(data(users_over_time()), settings, seed=0, on_epoch=seen.append)
    assert [type(entry).__name__ for entry in seen] == ["TrialEpoch"] * 2 + ["EpochLoss"] * 3
    assert [entry.found is not None for entry in artifact.facts.trial] == [False, True]
    lines = [entry.line() for entry in seen]
    assert ["held-out ndcg@10" in line for line in lines] == [False, True, False, False, False]
    assert [line.startswith("trial") for line in lines] == [True, True, False, False, False]


def test_training_takes_the_number_of_epochs_and_the_choices_from_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.1, 0.4, 0.2, 0.3])
    chosen = Choices(temperature=1.5, link_strength=3.0, cold_item_boost=0.25, w_cos=0.75)
    monkeypatch.setattr(training, "measure", lambda *_: found(next(values), SURE))
    monkeypatch.setattr(training, "choose", lambda *_: (chosen, Found(0.2, 0.3, 1.0, 1.5)))
    seen: list[EpochLoss | TrialEpoch] = []
    settings = SETTINGS.model_copy(update={"patience": 2})
    artifact = fit(data(users_over_time()), settings, seed=0, on_epoch=seen.append)
    assert [type(entry).__name__ for entry in seen] == ["TrialEpoch"] * 4 + ["EpochLoss"] * 2
    assert len(artifact.facts.trial) == 4
    assert len(artifact.facts.losses) == 2
    assert artifact.facts.choices == chosen
    assert artifact.facts.held_out == Found(0.2, 0.3, 1.0, 1.5)
    assert float(artifact.tensors["temperature"]) == pytest.approx(1.5)
    plain = Recommender(replace(artifact, tensors={**artifact.tensors, "temperature": np.array(1.0, np.float32)}))
    world = catalogue()
    one, other = (
        r.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
        for r in (Recommender(artifact), plain)
    )
    np.testing.assert_allclose(one.theta * 1.5, other.theta, rtol=1e-5)
    np.testing.assert_allclose(one.bias * 1.5, other.bias, rtol=1e-5)
    assert len(artifact.facts.warm_item_ids) == len(np.unique(users_over_time().items))


def test_a_trial_finds_planted_tastes() -> None:
    artifact = fit(data(users_over_time(200)), SETTINGS, seed=0)
    # Ten of sixteen items of the taste are used up at most; a list by chance holds half of the other taste.
    assert artifact.facts.held_out
    assert artifact.facts.held_out.recall > 0.6
