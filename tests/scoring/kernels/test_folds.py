"""Which fold a task uses."""

from __future__ import annotations

from functools import partial

import torch

from recsys_spark.scoring.kernels.folds import fold_of
from recsys_spark.scoring.kernels.gpu.topn import fold_on_device
from recsys_spark.scoring.kernels.topn import fold


def test_without_a_gpu_the_cpu_folds_with_its_threads() -> None:
    chosen = fold_of("cpu", "float16", n_threads=3)
    assert isinstance(chosen, partial)
    assert chosen.func is fold
    assert chosen.keywords == {"n_threads": 3}


def test_on_a_gpu_the_products_have_the_dtype_that_was_asked_for() -> None:
    chosen = fold_of("cuda:2", "bfloat16", n_threads=1)
    assert isinstance(chosen, partial)
    assert chosen.func is fold_on_device
    assert chosen.keywords == {"device": torch.device("cuda", 2), "dtype": torch.bfloat16, "n_threads": 1}
