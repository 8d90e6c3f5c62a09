"""Machine code that came with the Python environment, compiled for sets of instructions instead of one processor.

``python -m recsys_spark.precompile`` writes it. Which set a process takes is decided when it runs.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from llvmlite import binding
from numba import config

from recsys_spark.numerics.code_cache import stamp

LEVELS = {
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
    "x86-64-v3": ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"),
}
"""LLVM's names of sets of instructions, the largest first, and what a processor must have for each."""


def shipped_folder(prefix: Path | None = None) -> Path:
    """Return where the environment at ``prefix``, by default this one, has the machine code of these sources."""
    return (prefix or Path(sys.prefix)) / "share" / "recsys-spark" / "machine-code" / stamp()[:16]


@cache
def usable_levels() -> tuple[str, ...]:
    """Return the sets of instructions that this processor has, the largest first."""
    # Whoever names a processor wants code for it.
    if getattr(config, "CPU_NAME", None) is not None or not binding.get_process_triple().startswith("x86_64"):
        return ()
    has = binding.get_host_cpu_features()
    usable = [level for level, needed in LEVELS.items() if all(has.get(name) for name in needed)]
    # Each set contains the next.
    return tuple(usable) if LEVELS.keys() - usable <= {"x86-64-v4"} else ()
