"""The decorator that compiles a function with Numba and keeps its machine code on disk.

Machine code is made once per machine. It is kept next to the function's module, or in the user's cache directory where
that folder is not writable. ``NUMBA_CACHE_DIR`` names another place. All compiled functions release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar, cast

from numba import config, njit
from numba.core.registry import CPUDispatcher

from recsys_spark.numerics.code_cache import CodeCache

F = TypeVar("F", bound=Callable[..., Any])
FUSED = {"contract", "nnan", "nsz"}
REORDERED = {"contract", "nnan", "nsz", "reassoc"}


class Inlined(CPUDispatcher):  # type: ignore[misc]
    """A compiled function without an entry for Python, which would be one more copy of its code to optimise."""

    def __call__(self, *args: Any) -> Any:
        """Call it from Python, as tests do, through a compiled function that is made for it."""
        return _entry(self)(*args)


@cache
def _entry(function: Inlined) -> Callable[..., Any]:
    return cast(Callable[..., Any], njit(lambda *args: function(*args)))


def compiled(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """Compile a function that Python calls, at its first call in a process, or load its machine code from disk.

    ``fastmath`` names what LLVM may do to floating-point operations: FUSED, REORDERED, or nothing.
    """
    return lambda function: cast(F, _kept(CPUDispatcher(function, targetoptions=_options(fastmath))))


def inlined(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """Compile a function that only compiled functions call. It becomes a part of each of them."""
    # Without ``forceinline`` a call runs the callee's own code in the process that compiled it. A process that loads
    # both from disk runs the copy next to the caller's code. The two are optimised apart and differ in last bits.
    options = _options(fastmath) | {"forceinline": True, "no_cpython_wrapper": True}
    return lambda function: cast(F, _kept(Inlined(function, targetoptions=options)))


def _options(fastmath: set[str] | None) -> dict[str, Any]:
    # Nothing calls these functions from C.
    return {
        "nopython": True,
        "nogil": True,
        "error_model": "numpy",
        "fastmath": fastmath or False,
        "no_cfunc_wrapper": True,
    }


def _kept(function: CPUDispatcher) -> CPUDispatcher:
    """Let ``function`` keep its machine code on disk, where there is a place."""
    # Without one, on a read-only machine without a home, each process compiles.
    with suppress(RuntimeError), _own_cache():
        function.enable_caching()
    return function


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
