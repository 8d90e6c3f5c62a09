"""One seed gives one model, however many threads add up its gradients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from recsys_spark.config.model import Model
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.reproducible import reproducible
from tests.model.worlds import data, tasteful_users

CPU = torch.device("cpu")
N_RUNS = 6


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_same_model_every_time() -> None:
    settings = Model(width=64, n_layers=1, epochs=2, trial_epochs=0, batch_positions=8192)
    users = tasteful_users(600)
    assert len({fit(data(users), settings, seed=0).model_id for _ in range(N_RUNS)}) == 1


def test_reproducible_restores_the_settings_of_torch() -> None:
    seen = []
    for told in (False, True):
        torch.use_deterministic_algorithms(told)
        with reproducible(CPU):
            seen.append(torch.are_deterministic_algorithms_enabled())
        assert torch.are_deterministic_algorithms_enabled() is told
    torch.use_deterministic_algorithms(False)
    assert seen == [True, True]
    with pytest.raises(RuntimeError), reproducible(CPU):
        raise RuntimeError
    assert not torch.are_deterministic_algorithms_enabled()
    with reproducible(torch.device("cuda")):
        assert not torch.are_deterministic_algorithms_enabled()
