"""The first product on a machine: without machine code, with the Python environment's, and with the machine's own.

Python processes start at once, as the workers of an executor do. Each imports the kernels and computes one product. The
cache directory is empty unless the row says otherwise. Seconds run from the start to the last product.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.common.ledger import Row
from benchmarks.common.suite import Part, Plan, say
from benchmarks.common.tables import Section, shown

WORKERS = 8
PRODUCTS = ("lists", "encode in float32")
CHILD = """
import sys, time
start = time.perf_counter()
sys.prefix = sys.argv[2] or sys.prefix
import json
from recsys_spark.precompile.products import PRODUCTS
ready = time.perf_counter()
bits = PRODUCTS[sys.argv[1]]() if sys.argv[1] in PRODUCTS else ""
print(json.dumps({"bits": bits, "imports_s": ready - start, "product_s": time.perf_counter() - ready}))
"""
ROOT = Path(__file__).parents[2]


def run_at_once(name: str, workers: int, environment: Mapping[str, str], prefix: str = "") -> tuple[Row, set[str]]:
    """Return seconds and CPU-seconds of processes that start at once, and the bits of their products."""
    start = time.perf_counter()
    command = [sys.executable, "-c", CHILD, name, prefix]
    processes = [
        subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    answers, cpu = [], 0.0
    for process in processes:
        assert process.stdout is not None
        answers.append(json.loads(process.stdout.read()))
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        process.stdout.close()
        cpu += used.ru_utime + used.ru_stime
    slowest = {key: max(answer[key] for answer in answers) for key in ("imports_s", "product_s")}
    row = {"product": name, "workers": workers, "wall_s": time.perf_counter() - start, "cpu_s": cpu, **slowest}
    return row, {answer["bits"] for answer in answers}


def measure(plan: Plan) -> Iterator[list[Row]]:
    """Yield the rows of each product. Raises ValueError if the products of two processes differ."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = _environment(Path(folder), plan)
        for name in PRODUCTS[: plan.times(len(PRODUCTS))]:
            yield from _rows_of(name, plan.times(WORKERS), Path(folder), prefix)


def _environment(folder: Path, plan: Plan) -> str:
    """Return an environment with machine code; a tiny run has none."""
    if plan.tiny:
        return ""
    command = [sys.executable, "-m", "recsys_spark.precompile", "--prefix", str(folder / "environment")]
    subprocess.run(command, env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "unused")}, cwd=ROOT, check=True)
    return str(folder / "environment")


def _rows_of(name: str, most: int, folder: Path, prefix: str) -> Iterator[list[Row]]:
    found: set[str] = set()
    for workers in sorted({1, most}):
        cache = {"NUMBA_CACHE_DIR": str(folder / f"{name} {workers}")}
        unused = {"NUMBA_CACHE_DIR": str(folder / f"{name} {workers} unused")}
        cases = [("nothing", cache, ""), ("the machine", cache, "")]
        cases += [("the environment", unused, prefix)] if prefix else []
        for state, environment, where in cases:
            row, bits = run_at_once(name, workers, environment, where)
            found |= bits
            say(f"{name}, {workers} at once, code from {state}: {row['wall_s']:.1f} s")
            yield [{"part": "cold", "code": state, **row}]
    if len(found) != 1:
        raise ValueError(f"{name}: processes computed different bits: {sorted(found)}")


PART = Part(
    name="cold",
    measures="the first product of a machine that has no machine code yet",
    measure=measure,
    section=Section(
        "The first product of a cold machine",
        {
            "product": shown("product"),
            "machine code from": shown("code"),
            "processes at once": shown("workers"),
            "seconds to the last product": shown("wall_s", ".1f"),
            "of them imports": shown("imports_s", ".1f"),
            "of them the product": shown("product_s", ".1f"),
            "CPU-seconds of all": shown("cpu_s", ".1f"),
        },
        note="All processes compute the same bits. Without machine code one process compiles each function, and the "
        "others wait for it.",
    ),
)
