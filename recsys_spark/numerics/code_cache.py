"""Where the machine code of compiled functions is kept, and for which sources it is valid.

Numba compares a function's file with the file that its machine code was made of. But machine code also contains the
functions that it calls and the constants that it uses, and these may be in other files. So here it is valid for the
sources of all compiled functions together.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from numba import config

PACKAGE = "recsys_spark"
FOLDERS = {"numerics", "kernels"}
"""Compiled functions stand in these folders."""
COMPILERS = (b"recsys_spark.numerics.machine_code", b"recsys_spark.numerics.instructions")
"""A module that imports one of these has functions that are compiled."""
IMPORTED = re.compile(rb"^\s*from (recsys_spark[.\w]*) import", re.MULTILINE)
"""A module that such a module imports from may have constants that are compiled into its code."""


class CodeCache:
    """Where Numba keeps the machine code of one function: a class for ``NUMBA_CACHE_LOCATOR_CLASSES``."""

    def __init__(self, module: str, file: str, folder: Path) -> None:
        self.module, self.folder = module, folder
        # Numba names the file in its warnings.
        self._py_file = file

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> CodeCache | None:
        """Return the first writable place for a function in ``file``, or else the last; None outside the sources."""
        if function.__module__ not in sources():
            return None
        for folder in _folders(Path(file)):
            place = cls(function.__module__, file, folder)
            with suppress(OSError):
                place.ensure_cache_path()
                break
        return place

    def ensure_cache_path(self) -> None:
        """Make the folder; raises OSError where it cannot be written, or where others could write."""
        if _temporary() in self.folder.parents:
            _temporary().mkdir(exist_ok=True, mode=0o700)
            _check_own(_temporary())
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=self.folder):
            pass

    def get_cache_path(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def get_source_stamp(self) -> str:
        """Return what must be equal for machine code to be valid."""
        return stamp()

    def get_disambiguator(self) -> str:
        """Return a part of file names that tells functions of one name apart."""
        return self.module


def _folders(file: Path) -> Iterator[Path]:
    """Possible folders for the machine code of functions in ``file``, the preferred one first."""
    if named := getattr(config, "CACHE_DIR", ""):
        yield Path(named) / f"{PACKAGE}-{stamp()[:16]}"
    # In an archive there is no such file.
    elif file.is_file():
        yield file.parent / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Several versions of the package may share it.
    yield Path(home) / "recsys-spark" / "machine-code" / stamp()[:16]
    # A pod may have neither a home nor a writable image.
    yield _temporary() / "machine-code" / stamp()[:16]


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"recsys-spark-{os.getuid()}"


def _check_own(folder: Path) -> None:
    """Raise OSError where somebody else made the folder or may write into it: its files are run."""
    status = folder.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a folder of this user alone")


@cache
def stamp() -> str:
    """Return a hash of all sources that are compiled."""
    digest = hashlib.sha256()
    for module, source in sorted(sources().items()):
        digest.update(f"{module} {len(source)}\n".encode())
        digest.update(source)
    return digest.hexdigest()


@cache
def sources() -> dict[str, bytes]:
    """Return the source of every module whose code or constants may be part of machine code, by dotted name."""
    found = dict(_modules(resources.files(PACKAGE), PACKAGE))
    compiling = {
        module
        for module, source in found.items()
        if FOLDERS & set(parts := module.split("."))
        and ("numerics" in parts or any(compiler in source for compiler in COMPILERS))
    }
    imported = {name.decode() for module in compiling for name in IMPORTED.findall(found[module])}
    return {module: found[module] for module in sorted(compiling | imported & found.keys())}


def _modules(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    """Return name and source of the modules below ``folder``, in a directory or in an archive."""
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name.isidentifier():
                yield from _modules(entry, f"{name}.{entry.name}")
        elif entry.name.endswith(".py"):
            module = entry.name.removesuffix(".py")
            yield name if module == "__init__" else f"{name}.{module}", entry.read_bytes()
