"""Machine code on disk is used for the sources it was made of, and for no others."""

from __future__ import annotations

import ast
import importlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numba import config

from recsys_spark.numerics import code_cache
from recsys_spark.numerics.code_cache import CodeCache, sources, stamp
from recsys_spark.numerics.machine_code import compiled

PACKAGE = Path(code_cache.__file__).parents[1]
PROBE = """
import numpy as np
from recsys_spark.numerics.unit_rows import row_norms
row_norms(np.ones((1, 4), np.float32))
print(row_norms.stats.cache_path, sum(row_norms.stats.cache_hits.values()))
"""


def compiled_functions() -> Iterator[tuple[ModuleType, Any]]:
    """Every compiled function of the package, with its module."""
    for name in sorted(sources()):
        module = importlib.import_module(name)
        for value in vars(module).values():
            if hasattr(value, "py_func") and value.py_func.__module__ == name:
                yield module, value


def test_every_module_with_a_compiled_function_is_in_the_stamp() -> None:
    decorators = {"compiled", "instruction"}
    found = set()
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        used = {
            getattr(d.func if isinstance(d, ast.Call) else d, "id", "") for f in functions for d in f.decorator_list
        }
        if used & decorators:
            found.add(".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts))
    assert len(found) > 5
    assert found <= set(sources())


def test_whatever_compiled_code_names_is_in_the_stamp() -> None:
    names = 0
    for module, function in compiled_functions():
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        origin = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recsys_spark.")
            for alias in node.names
        }
        for name in {*function.py_func.__code__.co_names} & set(origin):
            names += 1
            assert {origin[name], origin[name].rpartition(".")[0]} & set(sources()), (module.__name__, name)
    assert names > 20


def test_every_compiled_function_is_kept_with_the_stamp() -> None:
    functions = [function for _, function in compiled_functions()]
    assert len(functions) > 20
    for function in functions:
        assert function.stats.cache_path == str(Path(function.py_func.__code__.co_filename).parent / "__pycache__")
        assert function._cache._impl.locator.get_source_stamp() == stamp()


def test_a_function_outside_the_compiled_sources_is_not_kept() -> None:
    @compiled()
    def double(x: float) -> float:
        return 2 * x

    assert double(2.0) == 4.0
    assert double.stats.cache_path is None  # type: ignore[attr-defined]


def test_an_old_numba_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(config, "CACHE_LOCATOR_CLASSES")
    again = compiled()(code_cache_probe())
    assert again.stats.cache_path is None


def code_cache_probe() -> Any:
    """A Python function that would be kept."""
    return next(function.py_func for _, function in compiled_functions())


def test_numba_is_left_as_it_was() -> None:
    before = config.CACHE_LOCATOR_CLASSES
    compiled()(code_cache_probe())
    assert before == config.CACHE_LOCATOR_CLASSES != CodeCache.__qualname__


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package on a path of its own, without machine code."""
    shutil.copytree(PACKAGE, tmp_path / "here" / "recsys_spark", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "here"


def probe(path: Path, **environment: str) -> tuple[str, int]:
    """Call a compiled function in a new process; returns its folder and how often its machine code came from disk."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(path), "HOME": str(path.parent / "home"), **environment}
    # Python looks into the current folder first.
    ended = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, cwd=path.parent, capture_output=True, check=True, text=True
    )
    folder, hits = ended.stdout.split()
    return folder, int(hits)


def test_machine_code_is_made_once_and_again_for_another_source(copied: Path) -> None:
    beside = str(copied / "recsys_spark" / "numerics" / "__pycache__")
    assert [probe(copied), probe(copied)] == [(beside, 0), (beside, 1)]
    # Another module than that of the function: Numba itself would not notice.
    with (copied / "recsys_spark" / "numerics" / "instructions.py").open("a") as file:
        file.write("# changed\n")
    assert [probe(copied), probe(copied)] == [(beside, 0), (beside, 1)]


def test_an_archive_keeps_machine_code_in_the_user_s_cache(copied: Path, tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in copied.rglob("*.py"):
            packed.write(file, file.relative_to(copied))
    folder, hits = probe(archive)
    assert folder.startswith(str(tmp_path / "home" / ".cache" / "recsys-spark"))
    assert hits == 0
    # The same sources at another path, as in the next application.
    moved = archive.rename(tmp_path / "moved.zip")
    assert probe(moved) == (folder, 1)


def test_numba_cache_dir_names_another_place(copied: Path, tmp_path: Path) -> None:
    folder, _ = probe(copied, NUMBA_CACHE_DIR=str(tmp_path / "elsewhere"))
    assert folder.startswith(str(tmp_path / "elsewhere"))
    assert not list(copied.rglob("*.nbi"))
