"""The output of a training task: a bar with the loss, a line after each epoch with the time left, or nothing."""

from __future__ import annotations

import io
from typing import Any

import pytest
from tqdm import tqdm

from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.training import progress as module
from recsys_spark.training.kernels.checkpoints import TrainingState
from recsys_spark.training.kernels.run import Step
from recsys_spark.training.progress import TrainingProgress

LINE = "train: epoch {}/3 loss 1.5000 (cross-entropy 1.4000, bce 0.1000) 60.0 s"


class EveryStep(tqdm):  # type: ignore[type-arg]
    """Draws each step; the usual one draws ten a second."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, mininterval=0, **kwargs)


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "tqdm", EveryStep)


def step(done: int, of: int, loss: float = 0.5) -> Step:
    return Step(done, of, loss, lambda: TrainingState({}, {}))


def epoch(k: int) -> EpochLoss:
    return EpochLoss(k, 3, 1.5, 1.4, 0.1, 60.0)


def drawn(stream: io.StringIO) -> list[str]:
    """The bars, one after the other."""
    return [text for text in stream.getvalue().replace("\n", "\r").split("\r") if "steps" in text]


def lines(stream: io.StringIO) -> list[str]:
    """The lines that stay on the terminal above the bar."""
    return [text.rpartition("\r")[2] for text in stream.getvalue().split("\n")[:-1]]


def test_the_bar_shows_steps_and_loss() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(bar=True, stream=stream)
    progress.step(step(1, 4, 2.25))
    progress.step(step(2, 4, 1.125))
    *_, before, last = drawn(stream)
    assert before.startswith("train:  25%|")
    assert "| 1/4 [" in before
    assert "loss 2.250]" in before
    assert last.startswith("train:  50%|")
    assert "| 2/4 [" in last
    assert "loss 1.125]" in last
    progress.close()
    assert stream.getvalue().endswith("\r")
    assert not stream.getvalue().rsplit("\r", 2)[1].strip()


@pytest.mark.parametrize(("n_before", "done", "of"), [(3, 1, 4), (1, 2, 6)])
def test_each_run_has_its_own_bar(n_before: int, done: int, of: int) -> None:
    """A new run is recognised by steps that begin anew, or by another number of steps."""
    stream = io.StringIO()
    progress = TrainingProgress(bar=True, stream=stream)
    for k in range(n_before):
        progress.step(step(k + 1, 4))
    progress.step(step(done, of))
    assert f"| {done}/{of} [" in drawn(stream)[-1]
    progress.close()


def test_the_bar_of_a_resumed_run_starts_at_its_step() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(bar=True, stream=stream)
    progress.step(step(3, 4))
    assert "| 3/4 [" in drawn(stream)[-1]
    progress.close()


def test_without_a_terminal_no_bar_is_drawn() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(bar=False, stream=stream)
    progress.step(step(1, 4))
    assert stream.getvalue() == ""


@pytest.mark.parametrize("bar", [False, True])
def test_each_epoch_has_a_line_with_the_time_left(bar: bool) -> None:
    stream = io.StringIO()
    progress = TrainingProgress(bar=bar, stream=stream)
    for k in (1, 2, 3):
        progress.step(step(k, 3))
        progress.epoch(epoch(k))
    progress.close()
    assert lines(stream) == [
        f"{LINE.format(1)}, about 02:00 left of this run",
        f"{LINE.format(2)}, about 01:00 left of this run",
        LINE.format(3),
    ]


def test_a_muted_task_prints_nothing() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(bar=True, stream=stream)
    progress.muted = True
    progress.step(step(1, 4))
    progress.epoch(epoch(1))
    progress.say("a warning")
    progress.close()
    assert stream.getvalue() == ""


def test_the_bar_shows_the_ndcg_of_the_trial() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(bar=True, stream=stream)
    progress.epoch(TrialEpoch(epoch(1), None))
    progress.step(step(1, 4))
    assert "loss 0.500]" in drawn(stream)[-1]
    progress.epoch(TrialEpoch(epoch(2), Found(0.125, 0.5, 3.0, 1.0)))
    progress.step(step(2, 4))
    assert "loss 0.500, held-out ndcg 0.1250]" in drawn(stream)[-1]
    # The final run has its own bar, and the figure stays.
    progress.step(step(1, 6))
    assert "| 1/6 [" in drawn(stream)[-1]
    assert "loss 0.500, held-out ndcg 0.1250]" in drawn(stream)[-1]
    progress.close()
