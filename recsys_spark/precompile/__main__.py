"""Compiles all kernels for sets of instructions and writes their machine code into a Python environment.

Run it where a container image or an environment archive is built. It needs the same kind of processor (x86-64), not the
same processor: nothing is run that this machine cannot run.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

COMPILE = "--level"


def main(words: Sequence[str] | None = None) -> int:
    """Compile for every set of instructions and return the exit status."""
    parser = argparse.ArgumentParser("recsys_spark.precompile", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prefix", type=Path, default=Path(sys.prefix), help="the environment, by default this one")
    parser.add_argument(COMPILE, nargs=2, metavar=("FILE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.level:
        compile_all(*map(Path, options.level))
        return 0
    folder = precompile(options.prefix)
    print(f"wrote {folder}" if folder else "nothing to do: on this kind of processor each machine compiles for itself")
    return 0


def precompile(prefix: Path) -> Path | None:
    """Write machine code for each set of instructions below ``prefix`` and return its folder, or None."""
    from llvmlite import binding

    from recsys_spark.numerics.shipped_code import LEVELS, shipped_folder, usable_levels

    if not binding.get_process_triple().startswith("x86_64"):
        return None
    target = shipped_folder(prefix)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        types, code, unused = (Path(draft) / name for name in ("types", "code", "unused"))
        code.mkdir(mode=0o755)
        usable = usable_levels()
        if not usable:
            _in_process({}, types, unused)
        # The first process runs the products. What it compiles is not compiled again.
        for level in sorted(LEVELS, key=lambda name: name not in usable):
            _in_process({"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": ""}, types, code)
        # Nobody waits for these.
        for file in code.glob("*.lock"):
            file.unlink()
        shutil.move(code, target)
    # What other sources left behind is of no use to this environment.
    for other in target.parent.iterdir():
        if other != target:
            shutil.rmtree(other)
    return target


def _in_process(target: dict[str, str], types: Path, folder: Path) -> None:
    """Compile in a process of its own, because Numba takes the processor once per process."""
    environment = os.environ | target | {"NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-m", "recsys_spark.precompile", COMPILE, str(types), str(folder)]
    subprocess.run(command, env=environment, check=True)


def compile_all(types: Path, folder: Path) -> None:
    """Compile for the types in the file ``types``, without running anything; without that file run all products."""
    if types.exists():
        for module, name, signatures in pickle.loads(types.read_bytes()):
            for signature in signatures:
                getattr(import_module(module), name).compile(signature)
    else:
        types.write_bytes(pickle.dumps(types_of_products()))
    # `CodeCache` puts the hash of the sources below the folder that NUMBA_CACHE_DIR names.
    for file in [*folder.glob("*/*")]:
        file.replace(folder / file.name)
    for empty in folder.glob("*/"):
        empty.rmdir()


def types_of_products() -> list[tuple[str, str, list[Any]]]:
    """Return module, name and types of each compiled function that Python calls in a product."""
    from recsys_spark.numerics.machine_code import COMPILED
    from recsys_spark.precompile.products import PRODUCTS

    for product in PRODUCTS.values():
        product()
    return [(f.py_func.__module__, f.py_func.__name__, f.signatures) for f in COMPILED if f.signatures]


if __name__ == "__main__":
    sys.exit(main())
