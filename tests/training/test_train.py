"""What the training task does around the training: a GPU that is full is a reason, and no accident to try again."""

from __future__ import annotations

import pytest
import torch

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.training.train import _fitted


def test_a_full_gpu_is_named_with_what_to_do() -> None:
    def full() -> Artifact:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    with pytest.raises(TrainingError) as caught:
        _fitted(full)
    assert caught.value.found == "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert "model.device = cpu" in caught.value.action


def test_another_failure_is_left_as_it_is() -> None:
    def broken() -> Artifact:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        _fitted(broken)
