"""A process that calls one compiled function, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

CALL = """
import json, sys
sys.prefix = sys.argv[1] or sys.prefix
import numpy as np
from recsys_spark.numerics.unit_rows import row_norms
print("ready", flush=True)
sys.stdin.readline()
norms = row_norms(np.linspace(0, 1, 400, dtype=np.float32).reshape(4, 100))
hits, misses = (sum(counts.values()) for counts in (row_norms.stats.cache_hits, row_norms.stats.cache_misses))
print(json.dumps({"bits": norms.tobytes().hex(), "folder": row_norms.stats.cache_path, "hits": hits, "misses": misses}))
"""


def started(package: Path, home: str, prefix: str = "", **environment: str) -> subprocess.Popen[str]:
    """A process that has imported the function."""
    found = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(package), "HOME": home, **environment}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", CALL, prefix], env=found, cwd=package.parent, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def called(package: Path, home: str, prefix: str = "", **environment: str) -> dict[str, Any]:
    """What a process says that calls the function."""
    answer: dict[str, Any] = json.loads(started(package, home, prefix, **environment).communicate("\n")[0])
    return answer


def zipped(package: Path, archive: Path) -> Path:
    """The package in an archive, beside which nothing can be kept."""
    with zipfile.ZipFile(archive, "w") as packed:
        for file in package.rglob("*.py"):
            packed.write(file, file.relative_to(package.parent))
    return archive
