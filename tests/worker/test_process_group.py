"""Two processes train one model: counted like one, stepping together, going on together, failing together."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys_spark.config.model import Model
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.training.kernels.checkpoint_files import Checkpoints
from recsys_spark.training.kernels.data import Data
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.run import Step
from recsys_spark.worker.process_group import Group, joined
from tests.model.worlds import data, histories, tasteful_users

SETTINGS = Model(width=16, n_layers=1, epochs=3, trial_epochs=2, batch_positions=256, learning_rate=1e-2, dropout=0.1)
KEY, SIZE = "of these tests", 2
Case = Callable[[Group, Path], Any]


class Killed(Exception):
    pass


def part(users: Histories, group: Group) -> Data:
    return data(users.take(np.arange(users.n_users)[group.rank :: group.size]))


def of_users(group: Group, _: Path) -> Artifact:
    return fit(part(tasteful_users(600), group), SETTINGS, seed=0, group=group)


def of_one_user(group: Group, _: Path) -> Artifact:
    """The second process has nobody."""
    return fit(part(histories([[1, 2, 3, 1, 5]]), group), SETTINGS, seed=0, group=group)


def of_no_number(group: Group, _: Path) -> str:
    """The second process alone has a text vector that is none."""
    mine = part(tasteful_users(600), group)
    if group.rank:
        mine.catalogue.vectors[3] = np.nan
    with pytest.raises(TrainingError) as caught:
        fit(mine, SETTINGS.model_copy(update={"trial_epochs": 0}), seed=0, group=group)
    return caught.value.what


def goes_on(group: Group, folder: Path) -> tuple[Artifact, int]:
    """Killed in the last epoch, after a save."""
    mine = part(tasteful_users(600), group)
    checkpoints = Checkpoints(str(folder / "c.safetensors"), KEY, 5)

    def die(step: Step) -> None:
        if step.done == step.of - 2 and step.of > n_trial_steps:
            raise Killed

    n_trial_steps = 3 * SETTINGS.trial_epochs * 600 * 8 // (2 * 256)
    with pytest.raises(Killed):
        fit(mine, SETTINGS, seed=0, group=group, checkpoints=checkpoints, on_step=die)
    saved = group.first(checkpoints.load)
    assert saved
    assert saved.facts["run"] == "final"
    done: list[int] = []
    model = fit(mine, SETTINGS, seed=0, group=group, saved=saved, on_step=lambda step: done.append(step.done))
    return model, len(done)


def adds_up(group: Group, _: Path) -> list[np.ndarray]:
    """In rows, in columns, a view, whole numbers."""
    values = np.arange(12.0).reshape(3, 4) * (group.rank + 1)
    return [
        group.add_up(each) for each in (values.copy(), np.asfortranarray(values), values[:, 1:3], values.astype(int))
    ]


CASES: tuple[Case, ...] = (of_users, of_one_user, of_no_number, goes_on, adds_up)


def run_cases(rank: int, address: str, folder: Path, results: Any) -> None:
    torch.set_num_threads(1)
    with joined(address, rank, SIZE) as group:
        results.put((rank, {case.__name__: case(group, folder) for case in CASES}))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process has found, by the name of the case."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    spawn = multiprocessing.get_context("spawn")
    results, folder = spawn.Queue(), tmp_path_factory.mktemp("group")
    processes = [spawn.Process(target=run_cases, args=(rank, address, folder, results)) for rank in range(SIZE)]
    for process in processes:
        process.start()
    by_rank = dict(results.get(timeout=240) for _ in processes)
    for process in processes:
        process.join(60)
    return [by_rank[rank] for rank in range(SIZE)]


def train_alone(results: Any) -> None:
    torch.set_num_threads(1)
    results.put(fit(data(tasteful_users(600)), SETTINGS, seed=0))


@pytest.fixture(scope="module")
def alone() -> Artifact:
    """The model of one process, spawned as those of a group are, so that BLAS has as many threads."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    process = spawn.Process(target=train_alone, args=(results,))
    process.start()
    artifact: Artifact = results.get(timeout=240)
    process.join(60)
    return artifact


@pytest.mark.parametrize("case", ["of_users", "of_one_user"])
def test_all_end_with_the_same_model(found: list[dict[str, Any]], case: str) -> None:
    one, other = (of[case] for of in found)
    assert one.model_id == other.model_id
    assert all(np.isfinite(tensor).all() for tensor in one.tensors.values() if tensor.dtype.kind == "f")


def test_counts_over_processes_equal_the_counts_of_one(found: list[dict[str, Any]], alone: Artifact) -> None:
    model = found[0]["of_users"]
    for name in alone.tensors:
        if name.startswith("links.") or name in ("items.settled", "popularity_units", "text_mean", "text_scale"):
            np.testing.assert_allclose(model.tensors[name], alone.tensors[name], rtol=1e-6, atol=1e-9)
    for name in ("warm_item_ids", "n_users", "n_positions", "first_time", "last_time"):
        assert getattr(model.facts, name) == getattr(alone.facts, name)


def test_two_learn_what_one_learns(found: list[dict[str, Any]], alone: Artifact) -> None:
    losses = [[entry.cross_entropy for entry in of.facts.losses] for of in (found[0]["of_users"], alone)]
    np.testing.assert_allclose(losses[0], losses[1], atol=0.1)
    assert losses[0][-1] < losses[0][0] - 0.1
    assert found[0]["of_users"].facts.held_out.recall > 0.5


def test_a_loss_that_is_not_a_number_in_one_process_stops_all(found: list[dict[str, Any]]) -> None:
    assert [of["of_no_number"] for of in found] == ["The training loss is no longer a number"] * SIZE


def test_a_killed_group_goes_on_with_the_same_model(found: list[dict[str, Any]]) -> None:
    for of in found:
        model, n_steps = of["goes_on"]
        assert model.model_id == found[0]["of_users"].model_id
        assert n_steps < 10


def test_arrays_are_added_up_whatever_their_order_in_memory(found: list[dict[str, Any]]) -> None:
    whole = 3 * np.arange(12.0).reshape(3, 4)
    for of in found:
        for sums, want in zip(of["adds_up"], (whole, whole, whole[:, 1:3], whole.astype(int)), strict=True):
            np.testing.assert_array_equal(sums, want)
