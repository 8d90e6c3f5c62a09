"""The process that compiles a function computes the same bits as the processes that load its machine code from disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_spark.numerics.shipped_code import usable_levels

CODE = """
import hashlib
import numpy as np
from recsys_spark.encoding.kernels.passes import bias_gelu_rows, bias_norm_rows

rng, digest = np.random.default_rng(5), hashlib.sha256()
product, residual = rng.normal(size=(2, 50, 384)).astype(np.float32)
bias, gain, shift = rng.normal(size=(3, 384)).astype(np.float32)
bias_gelu_rows(product, bias, 0, 50)
bias_norm_rows(product, bias, gain, shift, np.float32(1e-12), residual, 0, 50)
digest.update(product.tobytes() + residual.tobytes())
print(digest.hexdigest(), end="")
"""


def bits(cache: Path, **target: str) -> str:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), **target}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def test_the_first_process_of_a_machine_computes_the_bits_of_all_later_ones(tmp_path: Path) -> None:
    first = bits(tmp_path)
    assert list(tmp_path.rglob("*.nbi")), "nothing was kept"
    assert bits(tmp_path) == first


@pytest.mark.parametrize("level", usable_levels())
def test_code_for_a_set_of_instructions_computes_the_bits_of_code_for_this_processor(
    level: str, tmp_path: Path
) -> None:
    assert bits(tmp_path, NUMBA_CPU_NAME=level, NUMBA_CPU_FEATURES="") == bits(tmp_path)
