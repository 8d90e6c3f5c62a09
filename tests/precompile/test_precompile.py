"""Machine code that comes with an environment: taken where the processor has its instructions, with the same bits."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from numba import types

from recsys_spark.numerics import shipped_code
from recsys_spark.numerics.shipped_code import LEVELS, shipped_folder, usable_levels
from recsys_spark.precompile import __main__ as precompiling
from tests.numerics.probe import called

ROOT = Path(shipped_code.__file__).parents[2]
NOWHERE = "/dev/null"
MATRIX = types.Array(types.float32, 2, "C")
needs_levels = pytest.mark.skipif(not usable_levels(), reason="this processor has none of the sets of instructions")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the machine code of one function."""
    prefix = tmp_path_factory.mktemp("environment")
    folder = shipped_folder(prefix)
    folder.mkdir(parents=True)
    (prefix / "types").write_bytes(pickle.dumps([("recsys_spark.numerics.unit_rows", "row_norms", [(MATRIX,)])]))
    for level in LEVELS:
        target = {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": ""}
        precompiling._in_process(target, prefix / "types", folder)
    return prefix


@needs_levels
def test_code_of_the_environment_is_taken_and_computes_the_same_bits(prefix: Path, tmp_path: Path) -> None:
    own, shipped = called(ROOT, str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path)), called(ROOT, NOWHERE, str(prefix))
    assert (shipped["hits"], shipped["misses"]) == (1, 0)
    assert shipped["bits"] == own["bits"]


@needs_levels
def test_whoever_names_a_processor_gets_code_for_it(prefix: Path, tmp_path: Path) -> None:
    named = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    assert called(ROOT, NOWHERE, str(prefix), **named)["misses"] == 1


@pytest.mark.parametrize(
    ("lacks", "usable"),
    [((), ["x86-64-v4", "x86-64-v3"]), (("avx512vl",), ["x86-64-v3"]), (("avx2",), []), (("fma", "avx512f"), [])],
)
def test_a_processor_gets_the_sets_that_it_has(
    lacks: tuple[str, ...], usable: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = {name: name not in lacks for needed in LEVELS.values() for name in needed}
    monkeypatch.setattr(shipped_code.binding, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(shipped_code.binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    assert list(usable_levels.__wrapped__()) == usable


def test_an_environment_that_has_the_code_is_left_alone(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_code.binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr(precompiling, "_in_process", None)
    assert precompiling.precompile(prefix) == shipped_folder(prefix)
