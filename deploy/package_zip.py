"""Zips a package for --py-files: the same sources give the same bytes, and the name holds their hash."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)


def package_zip(package: Path, folder: Path) -> Path:
    """Return the path of ``folder/NAME-HASH.zip``, which holds the package and its data files; write it if absent.

    The hash in the name lets running jobs keep the file that they were started with.
    """
    files = [f for f in sorted(package.rglob("*")) if f.is_file() and "__pycache__" not in f.parts]
    contents = [(f.relative_to(package.parent).as_posix(), f.read_bytes()) for f in files]
    digest = hashlib.sha256()
    for name, content in contents:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    target = folder / f"{package.name}-{digest.hexdigest()[:16]}.zip"
    if target.exists():
        return target
    draft = folder / f".{target.name}.{os.getpid()}"
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    draft.replace(target)
    return target


if __name__ == "__main__":
    print(package_zip(Path(sys.argv[1]), Path(sys.argv[2])))
