"""Which fold a task uses."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from recsys_spark.errors import ConfigError
from recsys_spark.kernels.device import fold_on_device
from recsys_spark.kernels.folds import device_index, fold_of
from recsys_spark.kernels.topn import fold


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_the_cpu_folds_with_its_threads(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = fold_of(device, "float16", n_threads=3)
    assert isinstance(chosen, partial)
    assert chosen.func is fold
    assert chosen.keywords == {"n_threads": 3}


def test_cuda_without_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no usable CUDA device"):
        fold_of("cuda", "float32", n_threads=1)


@pytest.mark.parametrize(("device", "on_gpu"), [("auto", True), ("cuda", True), ("cpu", False)])
def test_with_a_gpu_the_task_takes_the_one_it_was_given(
    device: str, on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    chosen = fold_of(device, "bfloat16", n_threads=1, addresses=["2"])
    assert isinstance(chosen, partial)
    assert (chosen.func is fold_on_device) == on_gpu
    if on_gpu:
        assert chosen.keywords == {"device": torch.device("cuda", 2), "dtype": torch.bfloat16, "n_threads": 1}


def test_a_gpu_that_spark_did_not_assign_is_taken_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    auto, asked = (fold_of(device, "float32", n_threads=1) for device in ("auto", "cuda"))
    assert isinstance(auto, partial)
    assert isinstance(asked, partial)
    assert auto.func is fold
    assert asked.func is fold_on_device


def test_addresses_are_places_in_the_visible_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 7")
    assert device_index(["7"]) == 1
    assert device_index(["0"]) == 0
