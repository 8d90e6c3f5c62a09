"""Which device a task takes, and that no two processes are on one GPU; CUDA is simulated."""

from __future__ import annotations

import fcntl
import logging
import multiprocessing
import tempfile
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Protocol

import pytest
import torch

from recsys_spark.errors import ConfigError, EncoderError
from recsys_spark.worker import cache
from recsys_spark.worker.devices import cuda_index, free_one, lent, possible_devices, task_device

FORK = multiprocessing.get_context("fork")


class Elsewhere(Protocol):
    def __call__(self, device: str) -> tuple[BaseProcess, Event]: ...


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine's, lock files of its own, and nothing said before."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cache, "_KEPT", type(cache._KEPT)())


def machine(monkeypatch: pytest.MonkeyPatch, n_gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


def devices(asked: str, *addresses: str, own_machine: bool = False) -> list[str]:
    return possible_devices(asked, addresses, setting="encoder.device", error=EncoderError, own_machine=own_machine)


@pytest.mark.parametrize(
    ("address", "visible", "n_devices", "index"),
    [
        ("3", None, 4, 3),
        ("7", "4, 7", 2, 1),
        ("0", "4,7", 2, 0),
        # Listed as a physical number before it is taken for a place.
        ("0", "1,0", 2, 1),
        ("GPU-b2", "GPU-a1,GPU-b2", 2, 1),
        ("GPU-b2c3", "GPU-a1,GPU-b2", 2, 1),
        ("MIG-a/1/0", "MIG-a/1/0", 1, 0),
        # A container that was given one device and no variable.
        ("MIG-a/1/0", None, 1, 0),
        ("1", "", 2, 1),
    ],
)
def test_address_leads_to_the_place_among_the_visible_devices(
    address: str, visible: str | None, n_devices: int, index: int
) -> None:
    assert cuda_index(address, visible, n_devices, EncoderError) == index


@pytest.mark.parametrize(
    ("address", "visible", "n_devices"),
    [("2", None, 2), ("9", "4,7", 2), ("GPU-c", "GPU-a,GPU-b", 2), ("GPU-c", None, 2)],
)
def test_an_address_outside_the_visible_devices_is_an_error(address: str, visible: str | None, n_devices: int) -> None:
    with pytest.raises(EncoderError, match=f"(?s)address '{address}'.*CUDA_VISIBLE_DEVICES.*{n_devices} device"):
        cuda_index(address, visible, n_devices, EncoderError)


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_task_takes_the_gpu_it_was_given(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert devices(asked, "7") == ["cuda:1"]


def test_cpu_stays_on_the_cpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    machine(monkeypatch, 2)
    assert devices("cpu", "1", own_machine=True) == ["cpu"]
    assert not caplog.records


def test_unassigned_gpu_is_taken_only_where_asked_for_or_on_ones_own_machine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(monkeypatch, 2)
    both = ["cuda:0", "cuda:1"]
    assert devices("cuda") == both
    assert devices("auto", own_machine=True) == both
    assert not caplog.records
    assert devices("auto") == ["cpu"]
    assert "assigned none" in caplog.text


def test_auto_without_cuda_falls_to_the_cpu_and_says_once_that_a_gpu_lies_idle(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(monkeypatch, 0)
    assert devices("auto") == ["cpu"]
    assert not caplog.records, "nothing is amiss on a machine without GPUs"
    assert devices("auto", "3") == devices("auto", "1") == ["cpu"]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "torch here has no CUDA" in record.getMessage()


def test_cuda_without_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 0)
    with (
        pytest.raises(ConfigError, match=r"score\.device is cuda, and this machine has no usable CUDA device"),
        task_device("cuda", ["0"], setting="score.device", error=ConfigError),
    ):
        pass


def hold(device: str, inside: Event, leave: Event) -> None:
    with free_one([device]):
        inside.set()
        leave.wait(60)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Starts a process that is on a GPU until the event is set."""
    started: list[BaseProcess] = []

    def start(device: str) -> tuple[BaseProcess, Event]:
        inside, leave = FORK.Event(), FORK.Event()
        started.append(FORK.Process(target=hold, args=(device, inside, leave)))
        started[-1].start()
        assert inside.wait(60)
        return started[-1], leave

    yield start
    for process in started:
        process.kill()
        process.join()


def test_gpu_in_use_is_passed_over(elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere("cuda:0")
    with free_one(["cuda:0", "cuda:1"]) as device:
        assert device == "cuda:1"
    assert not caplog.records


def test_gpu_in_use_is_waited_for_where_there_is_no_other(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, leave = elsewhere("cuda:0")
    said = []

    def warning(message: str, *values: object) -> None:
        said.append(message % values)
        leave.set()

    monkeypatch.setattr(logging.getLogger("recsys_spark"), "warning", warning)
    with free_one(["cuda:0"]) as device:
        assert device == "cuda:0"
        assert "waiting for cuda:0" in said[0], "two processes on one GPU"


def test_gpu_of_a_process_that_died_is_free(elsewhere: Elsewhere) -> None:
    other, _ = elsewhere("cuda:0")
    other.kill()
    with free_one(["cuda:0"]) as device:
        assert device == "cuda:0"


def test_processes_that_see_other_parts_of_a_machine_mean_the_same_gpu(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere("cuda:1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,5")
    with free_one(["cuda:0", "cuda:1"]) as device:
        assert device == "cuda:1", "cuda:0 is GPU 1, which is taken"


class Model:
    def __init__(self) -> None:
        self.moves: list[str] = []

    def to(self, device: str) -> None:
        self.moves.append(device)


def test_model_leaves_the_gpu_with_the_task_even_with_one_that_fails() -> None:
    model = Model()
    borrowed = lent(model, "cuda:1")
    borrowed.__enter__()
    assert model.moves == ["cuda:1"]
    assert not borrowed.__exit__(ZeroDivisionError, ZeroDivisionError(), None), "the error is swallowed"
    assert model.moves == ["cuda:1", "cpu"]


def test_model_that_stays_on_the_cpu_is_not_moved() -> None:
    model = Model()
    with lent(model, "cpu"):
        pass
    assert model.moves == []


def test_memory_goes_back_to_the_gpu_before_another_process_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, 1)
    locked: list[bool] = []

    def empty_cache() -> None:
        [file] = tmp_path.glob("*gpu-0.lock")
        with file.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(True)

    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    with task_device("cuda", ["0"], setting="encoder.device", error=EncoderError) as device:
        assert (device, locked) == ("cuda:0", [])
    assert locked == [True]
