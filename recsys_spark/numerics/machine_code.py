"""The decorator that compiles a function with Numba and keeps its machine code on disk.

Machine code is made once per machine. It is kept next to the function's module, or in the user's cache directory where
that folder is not writable. ``NUMBA_CACHE_DIR`` names another place. All compiled functions release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from numba import config, njit

from recsys_spark.numerics.code_cache import CodeCache

F = TypeVar("F", bound=Callable[..., Any])
FUSED = {"contract", "nnan", "nsz"}
REORDERED = {"contract", "nnan", "nsz", "reassoc"}


def compiled(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """Compile a function at its first call in a process, or load its machine code from disk.

    ``fastmath`` names what LLVM may do to floating-point operations: FUSED, REORDERED, or nothing.
    """

    def decorate(function: F) -> F:
        options: dict[str, Any] = {
            "nogil": True,
            "error_model": "numpy",
            "fastmath": fastmath or False,
            # Without it a call runs the callee's own code in the process that compiled it. A process that loads both
            # from disk runs the copy next to the caller's code. The two are optimised apart and differ in last bits.
            "forceinline": True,
        }
        try:
            with _own_cache():
                return cast(F, njit(cache=True, **options)(function))
        except RuntimeError:  # no place to keep machine code: a read-only machine without a home
            return cast(F, njit(**options)(function))

    return decorate


@contextmanager
def _own_cache() -> Iterator[None]:
    """Make Numba ask `CodeCache` for places; ``NUMBA_CACHE_LOCATOR_CLASSES`` would do so for the whole process."""
    if not hasattr(config, "CACHE_LOCATOR_CLASSES"):
        # Numba before 0.62 would take machine code of other sources for valid.
        raise RuntimeError("this version of Numba does not ask where machine code is kept")
    before = config.CACHE_LOCATOR_CLASSES
    config.CACHE_LOCATOR_CLASSES = f"{CodeCache.__module__}.{CodeCache.__qualname__}"
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES = before
