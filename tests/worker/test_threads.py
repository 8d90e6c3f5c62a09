"""How many threads a worker process uses."""

from __future__ import annotations

import os

import pytest
import torch

from recsys_spark.worker.threads import THREAD_VARIABLES, limit_threads


@pytest.mark.parametrize("n", [1, 2])
def test_torch_and_libraries_that_are_loaded_later_get_the_number(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")
    limit_threads(n)
    assert torch.get_num_threads() == n
    assert {os.environ[name] for name in THREAD_VARIABLES} == {str(n)}
