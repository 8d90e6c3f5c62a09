"""The decorator that compiles a function with Numba and keeps its machine code on disk.

Machine code is made once per machine, or comes with the Python environment. It is kept next to the function's module.
Where that folder is not writable, it is kept in the user's cache directory, or else in the folder for temporary files.
``NUMBA_CACHE_DIR`` names another place. All compiled functions release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from typing import Any, TypeVar, cast

from numba import config, njit
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from recsys_spark.numerics.code_cache import CodeCache
from recsys_spark.numerics.kept_code import KeptCode
from recsys_spark.numerics.turns import turn

F = TypeVar("F", bound=Callable[..., Any])
FUSED = {"contract", "nnan", "nsz"}
REORDERED = {"contract", "nnan", "nsz", "reassoc"}


COMPILED: list[Any] = []
"""The functions so far that Python calls."""


class Compiled(CPUDispatcher):
    """A compiled function. Processes of one machine take turns, so that one compiles it and the others load it."""

    def enable_caching(self) -> None:
        """Keep machine code on disk."""
        self._cache = KeptCode(self.py_func)

    def compile(self, sig: Any) -> Any:
        """Return the entry of the machine code for the types of ``sig``, compiled or loaded."""
        # Threads take this lock first everywhere, or two of them could wait for each other.
        with global_compiler_lock:
            alone: AbstractContextManager[None] = nullcontext()
            if isinstance(self._cache, KeptCode) and not self._cache.has(sig, self.targetctx):
                alone = turn(self._cache.lock)
            with alone:
                return super().compile(sig)


class Inlined(Compiled):
    """A compiled function without an entry for Python, which would be one more copy of its code to optimise."""

    def __call__(self, *args: Any) -> Any:
        """Call it from Python, as tests do, through a compiled function that is made for it."""
        return _entry(self)(*args)


@cache
def _entry(function: Inlined) -> Callable[..., Any]:
    def entry(*args: Any) -> Any:
        return function(*args)

    return cast(Callable[..., Any], njit(entry))


def compiled(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """Compile a function that Python calls, at its first call in a process, or load its machine code from disk.

    ``fastmath`` names what LLVM may do to floating-point operations: FUSED, REORDERED, or nothing.
    """

    def decorate(function: F) -> F:
        made = _kept(Compiled(function, targetoptions=_options(fastmath)))
        COMPILED.append(made)
        return cast(F, made)

    return decorate


def inlined(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """Compile a function that only compiled functions call. It becomes a part of each of them."""
    # Without ``forceinline`` a call runs the callee's own code in the process that compiled it. A process that loads
    # both from disk runs the copy next to the caller's code. The two are optimised apart and differ in last bits.
    options = _options(fastmath) | {"forceinline": True, "no_cpython_wrapper": True}

    def decorate(function: F) -> F:
        return cast(F, _kept(Inlined(function, targetoptions=options)))

    return decorate


def _options(fastmath: set[str] | None) -> dict[str, Any]:
    # Nothing calls these functions from C.
    return {
        "nopython": True,
        "nogil": True,
        "error_model": "numpy",
        "fastmath": fastmath or False,
        "no_cfunc_wrapper": True,
    }


def _kept(function: Compiled) -> Compiled:
    """Let ``function`` keep its machine code on disk, where there is a place."""
    # Numba raises it for a function outside the package, and an old Numba for all.
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
