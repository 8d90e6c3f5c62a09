"""Checkpoints: a training that was killed ends with the model that it would have made. A bad checkpoint is refused,
and the error names it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from recsys_spark.config.model import Model
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.training.kernels.checkpoint_files import Checkpoints, _located
from recsys_spark.training.kernels.checkpoints import FACTS, FORMAT_VERSION, TrainingState
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.run import Step
from tests.model.worlds import data, tasteful_users

WITH_TRIAL = Model(width=16, n_layers=1, epochs=3, trial_epochs=2, batch_positions=256, learning_rate=1e-2, dropout=0.1)
WITH_PATIENCE = WITH_TRIAL.model_copy(update={"epochs": 4, "patience": 2})
KEY = "of this training"
PLACE = {"epoch": 1, "n_done": 2, "n_steps": 2, "sums": [[0.0, 0.0, 0.0]], "seconds": 1.0, "draws": [[{}, {}]]}
RUNNING = {"run": "trial", "seconds": 1.0, "place": PLACE}
GOOD_FACTS = {"format": FORMAT_VERSION, "key": KEY, **RUNNING}
KILLED = """
from pathlib import Path
from recsys_spark.training.kernels.checkpoint_files import Checkpoints
from recsys_spark.training.kernels.fit import fit
from tests.training.kernels.test_checkpoints import KEY, WITH_TRIAL
from tests.model.worlds import data, tasteful_users
many = WITH_TRIAL.model_copy(update={"epochs": 100_000})
fit(data(tasteful_users()), many, seed=0, checkpoints=Checkpoints(PATH, KEY, 1))
"""


class Killed(Exception):
    pass


class Dying(Checkpoints):
    """Dies after a number of saves."""

    def __init__(self, uri: str, every: int, n_saves: int) -> None:
        super().__init__(uri, KEY, every)
        self.n_left = n_saves

    def save(self, state: TrainingState) -> None:
        super().save(state)
        self.n_left -= 1
        if not self.n_left:
            raise Killed


def trained(settings: Model, checkpoints: Checkpoints | None = None) -> Artifact:
    users = data(tasteful_users())
    if checkpoints is None:
        return fit(users, settings, seed=0)
    return fit(users, settings, seed=0, checkpoints=checkpoints, saved=checkpoints.load())


def same(one: Artifact, other: Artifact) -> bool:
    """Whether tensors, losses and choices are equal bit by bit; seconds may differ."""

    def said(of: Artifact) -> list[tuple[object, ...]]:
        trial = [(entry.loss.epoch, entry.loss.loss, entry.found) for entry in of.facts.trial]
        return [*trial, *((entry.epoch, entry.loss, None) for entry in of.facts.losses)]

    equal = all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    return equal and one.model_id == other.model_id and said(one) == said(other)


@pytest.mark.parametrize("settings", [WITH_TRIAL, WITH_PATIENCE], ids=["trial", "patience"])
def test_the_model_is_the_same_wherever_training_was_killed(settings: Model, tmp_path: Path) -> None:
    whole, uri = trained(settings), str(tmp_path / "folder" / "c.safetensors")
    n_killed, runs = 0, set()
    while True:
        Path(uri).unlink(missing_ok=True)
        try:
            trained(settings, Dying(uri, 2, n_killed * 5 + 1))
            break
        except Killed:
            saved = Checkpoints(uri, KEY, 2).load()
            assert saved
            runs.add(saved.run)
            assert same(trained(settings, Checkpoints(uri, KEY, 2)), whole)
            n_killed += 1
    assert n_killed > 3
    assert runs == {"trial", "final"}


def test_training_goes_on_after_a_kill_9_and_does_not_start_over(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    code = KILLED.replace("PATH", repr(str(file)))
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3], env=one_thread)
    try:
        checkpoints, n_steps, deadline = Checkpoints(str(file), KEY, 0), 0, time.monotonic() + 120
        # Until it is well into the run that makes the model.
        while n_steps < 30:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
            saved = checkpoints.load()
            n_steps = saved.n_steps if saved and saved.run == "final" else 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    saved = checkpoints.load()
    assert saved
    assert saved.n_steps >= 30
    seen: list[int] = []

    def stop(step: Step) -> None:
        seen.append(step.done)
        if len(seen) == 5:
            raise Killed

    settings = WITH_TRIAL.model_copy(update={"epochs": 100_000})
    with pytest.raises(Killed):
        fit(data(tasteful_users()), settings, seed=0, saved=saved, on_step=stop)
    assert seen[0] == saved.n_steps + 1


def test_a_truncated_checkpoint_is_refused_and_the_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    with pytest.raises(Killed):
        trained(WITH_TRIAL, Dying(str(file), 1, 3))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="cannot be read") as caught:
        Checkpoints(str(file), KEY, 1).load()
    assert caught.value.where == str(file)
    assert "Delete it" in caught.value.action


def content_of(facts: object) -> bytes:
    """A checkpoint with these facts and no other tensor."""
    return save_tensors({FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)})


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, FORMAT_VERSION - 1, True, None])
def test_a_checkpoint_of_another_format_is_refused(version: object) -> None:
    with pytest.raises(TrainingError, match="another training") as caught:
        TrainingState.parse(content_of(GOOD_FACTS | {"format": version}), KEY, "c")
    assert f"format {version}" in str(caught.value.found)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ([1], "facts"),
        ({"format": FORMAT_VERSION, "key": KEY, "run": "trial", "seconds": 1.0}, "place"),
        (GOOD_FACTS | {"place": {}}, "place.epoch"),
        (GOOD_FACTS | {"place": PLACE | {"sums": [1.0]}}, "place.sums[0]"),
        (GOOD_FACTS | {"place": PLACE | {"draws": [[1]]}}, "place.draws[0][0]"),
        (GOOD_FACTS | {"seconds": "1"}, "seconds"),
        (GOOD_FACTS | {"seconds": float("nan")}, "seconds"),
        (GOOD_FACTS | {"run": "another"}, "run"),
    ],
)
def test_a_wrong_fact_of_a_checkpoint_is_named(facts: object, field: str) -> None:
    with pytest.raises(TrainingError) as caught:
        TrainingState.parse(content_of(facts), KEY, "c")
    assert caught.value.where == f"c, {field}"


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 4096])
def test_a_file_that_is_not_a_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    file.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read"):
        Checkpoints(str(file), KEY, 1).load()


def test_a_checkpoint_of_other_settings_is_refused_and_the_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    Checkpoints(str(file), "of another", 1).save(TrainingState({"a": np.ones(3)}, {}))
    with pytest.raises(TrainingError, match="another training") as caught:
        Checkpoints(str(file), KEY, 1).load()
    assert caught.value.where == str(file)
    assert "of another" in caught.value.found


def test_a_view_of_an_array_is_saved_with_the_values_of_the_view(tmp_path: Path) -> None:
    checkpoints, table = Checkpoints(str(tmp_path / "c"), KEY, 1), np.arange(6.0).reshape(3, 2)
    checkpoints.save(TrainingState({"column": table[:, 1], "number": np.array(2.5)}, {**RUNNING, "n": 1}))
    saved = checkpoints.load()
    assert saved
    np.testing.assert_array_equal(saved.tensors["column"], [1.0, 3.0, 5.0])
    assert saved.tensors["number"].shape == ()
    assert saved.facts["n"] == 1


def test_training_goes_on_and_says_so_once_if_no_checkpoint_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said: list[str] = []
    checkpoints = Checkpoints(str(tmp_path / "file" / "c.safetensors"), KEY, 1, said.append)
    assert same(fit(data(tasteful_users()), WITH_TRIAL, seed=0, checkpoints=checkpoints), trained(WITH_TRIAL))
    assert len(said) == 1
    assert "will start over" in said[0]


def test_checkpoint_addresses_may_be_spelled_as_hadoop_spells_them(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    checkpoints = Checkpoints(f"file:{tmp_path}/a b/run_date=2026-01-01.safetensors", KEY, 1)
    checkpoints.save(TrainingState({}, RUNNING))
    assert [file.name for file in (tmp_path / "a b").iterdir()] == ["run_date=2026-01-01.safetensors"]
    assert checkpoints.load() is not None
    said: list[str] = []
    unknown = Checkpoints("nofs://host/c", KEY, 1, said.append)
    unknown.save(TrainingState({}, {}))
    assert unknown.load() is None
    assert len(said) == 2


@pytest.mark.parametrize("path", ["a b/c", "100%20/c", "é#1/c?d", "plain/c"])
def test_an_address_is_taken_letter_by_letter_as_hadoop_takes_it(path: str) -> None:
    assert _located(f"mock:///{path}")[1] == path
