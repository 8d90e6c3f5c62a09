"""The machine code of one function on disk: what came with the environment first, then what this machine compiled."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba.core.caching import FunctionCache, IndexDataCacheFile

from recsys_spark.numerics.code_cache import stamp
from recsys_spark.numerics.shipped_code import shipped_folder, usable_levels

UNREADABLE = (OSError, EOFError, ValueError, pickle.UnpicklingError)


_index: Any = IndexDataCacheFile


class Level:
    """Stands for Numba's code generator where a set of instructions is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def magic_tuple(self) -> tuple[str, str, str]:
        """Return what Numba's generator returns when ``NUMBA_CPU_NAME`` names the set."""
        return binding.get_process_triple(), self.name, ""


class KeptCode(FunctionCache):
    """Numba's cache of one function, which also looks into the environment and never fails."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._shipped: Any = _index(str(shipped_folder()), self._impl.filename_base, stamp())

    @property
    def lock(self) -> Path:
        """Return the file by which processes take turns."""
        return Path(self.cache_path) / f"{self._impl.filename_base}.lock"

    def has(self, signature: Any, target: Any) -> bool:
        """Return whether there is machine code for the types of ``signature``."""
        with suppress(*UNREADABLE):
            return any(key in kept._load_index() for kept, key in self._places(signature, target))
        return False

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        for kept, key in self._places(sig, target_context):
            # A damaged file is compiled again and written anew.
            with suppress(*UNREADABLE):
                if (data := kept.load(key)) is not None:
                    return self._impl.rebuild(target_context, data)
        return None

    def _save_overload(self, sig: Any, data: Any) -> None:
        # The folder may have gone, or the disk may be full.
        with suppress(OSError):
            super()._save_overload(sig, data)  # type: ignore[no-untyped-call]

    def _places(self, signature: Any, target: Any) -> list[tuple[Any, Any]]:
        key: Any = self._index_key
        levels = [(self._shipped, key(signature, Level(level))) for level in usable_levels()]
        return [*levels, (self._cache_file, key(signature, target.codegen()))]
