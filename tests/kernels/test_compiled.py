"""Machine code on disk is used for the sources it was made of, and for no others."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import numpy as np
import pytest

from recsys_spark.kernels import blocks, compiled, screening, shortlist

KERNELS = Path(compiled.__file__).parent


def test_every_compiled_source_is_in_the_stamp() -> None:
    using = {file.stem for file in KERNELS.glob("*.py") if "@compiled(" in file.read_text()}
    assert using <= set(compiled.COMPILED_MODULES)


def test_a_change_of_any_compiled_source_changes_the_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = {compiled.sources_stamp.__wrapped__()}
    for changed in compiled.COMPILED_MODULES:

        def read(package: str, name: str, changed: str = changed) -> bytes:
            return (KERNELS / name).read_bytes() + b"#" * (name == f"{changed}.py")

        monkeypatch.setattr(pkgutil, "get_data", read)
        stamps.add(compiled.sources_stamp.__wrapped__())
    assert len(stamps) == 1 + len(compiled.COMPILED_MODULES)


def test_the_cache_of_every_function_has_the_stamp() -> None:
    functions = [
        value
        for module in (blocks, compiled, screening, shortlist)
        for value in vars(module).values()
        if hasattr(value, "py_func")
    ]
    assert len(functions) > 20
    for function in functions:
        assert compiled.sources_stamp() in function._cache._cache_file._source_stamp, function.py_func.__name__


def test_exp_is_that_of_float64_to_float32s_last_digits() -> None:
    x = np.linspace(-86, 79, 100_000).astype(np.float32)
    out = np.empty_like(x)
    compiled.exp_into(out, x, np.zeros_like(x), np.float32(1), np.float32(0))
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=1.5e-7)
    compiled.exp_into(out, np.full_like(x, -np.inf), np.zeros_like(x), np.float32(1), np.float32(0))
    assert not out.any()
