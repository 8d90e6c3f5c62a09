"""Errors of the training task: a full GPU is a reason to stop, and not an accident to try again."""

from __future__ import annotations

import pytest
import torch

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.training.train import _fitted


def test_a_full_gpu_gives_an_error_that_says_what_to_do() -> None:
    def full() -> Artifact:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    with pytest.raises(TrainingError) as caught:
        _fitted(full)
    assert caught.value.found == "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert "model.device = cpu" in caught.value.action


def test_other_errors_pass_unchanged() -> None:
    def broken() -> Artifact:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        _fitted(broken)
