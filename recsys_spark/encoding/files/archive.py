"""Archives of models, unpacked without trust, and the driver's cache of unpacked and fetched models."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from recsys_spark.errors import EncoderError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
ARCHIVE_SUFFIXES = (".zip", *TAR_SUFFIXES)


@dataclass(frozen=True)
class Member:
    """An entry of an archive; ``plain`` is true for a regular file or a folder, false for a link or a device."""

    name: str
    n_bytes: int
    plain: bool


def is_archive(name: str) -> bool:
    """Return whether the name of a file is the name of an archive that can be unpacked."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a model archive into an empty folder; raises EncoderError.

    A hostile archive is refused before a byte is written.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as content:
                _check(archive, into, (_member_of_zip(info) for info in content.infolist()))
                content.extractall(into)
        else:
            with tarfile.open(archive) as packed:
                _check(archive, into, (Member(m.name, m.size, m.isreg() or m.isdir()) for m in packed.getmembers()))
                packed.extractall(into, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        # zipfile raises RuntimeError where a password is needed.
        raise EncoderError(
            "the archive of the model cannot be unpacked",
            where=str(archive),
            found=f"{type(error).__name__}: {error}",
            expected=f"a whole archive without a password: {', '.join(ARCHIVE_SUFFIXES)}",
            action="make or copy the archive again",
        ) from error


def _member_of_zip(info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return Member(info.filename, info.file_size, kind in (0, stat.S_IFREG, stat.S_IFDIR))


def _check(archive: Path, into: Path, members: Iterable[Member]) -> None:
    """Refuse links, names that lead out of the folder, and more bytes than the disk has free.

    A member is never larger than the archive states.
    """
    n_bytes = 0
    for member in members:
        n_bytes += member.n_bytes
        # A plain name on one system may be a path on another. Such an archive is refused on all systems.
        leads_out = any(
            path.is_absolute() or path.drive or path.root or ".." in path.parts
            for path in (PurePosixPath(member.name), PureWindowsPath(member.name))
        )
        if leads_out or not member.plain:
            raise EncoderError(
                "the archive of the model contains what no model needs",
                where=str(archive),
                found=f"{member.name}: {'a name that leads out of the folder' if leads_out else 'a link or device'}",
                expected="plain files and folders",
                action="do not use this archive, or make it again with links followed (tar -h)",
            )
    free = shutil.disk_usage(into).free
    if n_bytes > free:
        raise EncoderError(
            "the unpacked archive of the model is larger than the free space on the disk",
            where=str(archive),
            found=f"{n_bytes:,} bytes",
            expected=f"at most the {free:,} bytes that are free at {into}",
            action="set XDG_CACHE_HOME to a larger disk, or do not use this archive",
        )


def cached_folder(key: str, fill: Callable[[Path], None]) -> Path:
    """Return the cache's folder ``key``, made by ``fill`` where it does not exist.

    It appears complete or not at all. ``key`` must identify the content.
    """
    cache = _cache()
    folder = cache / key
    if folder.is_dir():
        return folder
    part = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=cache))
    try:
        fill(part)
        try:
            part.rename(folder)
        except OSError:
            # Another job of this user has just made it.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _cache() -> Path:
    """Return a folder that only this user may write, because its content is not verified again.

    Where there is no home, the folder lasts as long as the container.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        cache = (Path(home) if home else Path.home() / ".cache") / "recsys-spark" / "encoders"
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=cache):
            return cache
    except (OSError, RuntimeError):  # the user of a container may have no home, or a home without write permission
        return Path(tempfile.mkdtemp(prefix="recsys-spark-encoders-"))
