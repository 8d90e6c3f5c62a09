"""Checksums that came with a model: a SHA256SUMS file, and names and notes that the hub's client has written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from recsys_spark.encoding.files.checks import CHECKSUMS, is_kept, kept_files
from recsys_spark.errors import EncoderError

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_HUB_SUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHA1_DIGITS = 40


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sums(folder: Path, known: Mapping[str, str], trusted: bool) -> None:
    """Compare the files with the checksums that came with them; raises EncoderError where one differs or is missing.

    ``known`` contains sha256 by name relative to ``folder``, so that weights are not read twice. A folder without
    checksums passes.
    """
    for name, expected, where in [*_listed(folder, known, trusted), *_of_hub(folder, known, trusted)]:
        path = folder / name
        found = (known.get(name) or sha256_of(path)) if path.is_file() else "no such file"
        if found == expected or (len(expected) == SHA1_DIGITS and path.is_file() and expected in _sha1s(path)):
            continue
        raise EncoderError(
            f"{name} of the model has another checksum than the one that came with it"
            if path.is_file()
            else f"{name} of the model is missing",
            where=str(path),
            found=found,
            expected=f"{expected}, as {where} says",
            action="copy or download the model again, from where you trust it",
        )


def _listed(folder: Path, known: Collection[str], trusted: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (name, sum, source) from SHA256SUMS, as `sha256sum` writes it, for the files that loading may need."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        name = PurePosixPath(match[2]) if match else None
        if match is None or name is None or name.is_absolute() or ".." in name.parts:
            raise EncoderError(
                f"{CHECKSUMS} of the model cannot be read",
                where=str(path),
                found=line[:200],
                expected="lines as `sha256sum FILE...` writes them inside the folder",
                action=f"write {CHECKSUMS} again where you trust the folder",
            )
        # A second `sha256sum * > SHA256SUMS` also lists the emptied SHA256SUMS itself.
        if str(name) != CHECKSUMS and (str(name) in known or is_kept(str(name), trusted)):
            yield str(name), match[1].lower(), CHECKSUMS


def _of_hub(folder: Path, known: Collection[str], trusted: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (name, sum, source) as the hub's client keeps it: in a name in its cache, or in a note in `--local-dir`."""
    for name in kept_files(folder, trusted, known):
        blob = (folder / name).resolve()
        if blob.parent.name == "blobs" and _HUB_SUM.fullmatch(blob.name):
            yield name, blob.name, "the hub"
        note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
        if note.is_file():
            lines = note.read_text(encoding="utf-8", errors="replace").splitlines()
            # Commit, checksum and time, a line each.
            if len(lines) > 1 and _HUB_SUM.fullmatch(lines[1]):
                yield name, lines[1], "the hub"


def _sha1s(path: Path) -> tuple[str, str]:
    """Return Git's sha1 of a small file, which the hub states, and the plain sha1, which some mirrors state."""
    content = path.read_bytes()
    git = hashlib.sha1(f"blob {len(content)}\0".encode(), usedforsecurity=False)
    git.update(content)
    return git.hexdigest(), hashlib.sha1(content, usedforsecurity=False).hexdigest()
