"""What the scoring benchmark makes of its rows; nothing is timed here."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.common import ledger
from benchmarks.common.measure import Cost, tree_cpu
from benchmarks.score import (
    growth as score_growth,
)
from benchmarks.score import (
    report as score_report,
)
from benchmarks.score import (
    results as score_results,
)
from benchmarks.score import (
    tables as score_tables,
)
from benchmarks.score.growth import ITEMS, USERS, marginal_deviation, spread
from benchmarks.score.memory import ITEM_BYTES, blocks_of
from benchmarks.score.report import write_results
from benchmarks.score.results import LEDGER, PARTS, cost_rows
from benchmarks.score.stage import difference

GIB = 2**30


def rows(what: str, method: str, users: int, items: int, cpu: float, **more: object) -> list[dict[str, Any]]:
    return cost_rows(what, users, items, 10, {method: [Cost(cpu, cpu / 2)]}, **more)


@pytest.mark.parametrize("module", [ledger, score_growth, score_report, score_results, score_tables])
def test_examples_in_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module) == (0, doctest.testmod(module).attempted)
    assert doctest.testmod(module).attempted


def test_a_part_replaces_its_own_rows_and_no_others() -> None:
    old = [
        {"what": "kernel, one thread", "users": 1},
        {"what": "Spark stage, 2 cores", "users": 2},
        {"part": "memory", "what": "m", "users": 3},
    ]
    new = LEDGER.merged(
        old, "stage", [{"what": "Spark stage, 2 cores", "users": 4}, {"what": "Spark stage, 2 cores", "users": 5}]
    )
    assert [(row["part"], row["users"]) for row in new] == [("kernel", 1), ("stage", 4), ("stage", 5), ("memory", 3)]


def test_a_part_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="not in"):
        LEDGER.merged([], "no such part", [{"what": "x"}])


def test_rows_keep_the_machine_they_were_measured_on(tmp_path: Path) -> None:
    old = {"machine": "an old machine", "rows": [{"what": "kernel, one thread", "users": 1}]}
    (tmp_path / "score.json").write_text(json.dumps(old))
    assert LEDGER.load(tmp_path) == [{"machine": "an old machine", "what": "kernel, one thread", "users": 1}]
    assert LEDGER.load(tmp_path / "nowhere") == []


def test_a_cost_is_a_median_over_pairs() -> None:
    (row,) = cost_rows("x", 1_000, 2_000, 10, {"m": [Cost(2.0, 1.0), Cost(4.0, 3.0), Cost(9.0, 2.0)]})
    assert (row["cpu_s"], row["wall_s"], row["repeats"]) == (4.0, 2.0, 3)
    assert row["ns_per_pair"] == pytest.approx(2000)


def test_a_straight_line_deviates_by_nothing_and_a_bend_by_its_size() -> None:
    assert marginal_deviation([10, 50, 200], [3 + 2 * m for m in (10, 50, 200)]) == pytest.approx(0)
    # Marginal costs 1 and 2 about a slope of 1.5.
    assert marginal_deviation([0, 10, 20], [0, 10, 30]) == pytest.approx(1 / 3)
    assert spread([4.0, 5.0]) == pytest.approx(0.25)


def test_a_quarter_of_the_table_makes_at_least_four_blocks() -> None:
    n_items = 1_000_000
    n_blocks, largest = blocks_of(n_items, n_items * ITEM_BYTES // 4)
    assert n_blocks >= 4
    assert largest <= n_items * ITEM_BYTES // 4
    assert blocks_of(16, GIB) == (1, 16 * ITEM_BYTES)


def test_lists_are_the_same_only_item_by_item() -> None:
    one = pa.table({"user_id": ["u", "u"], "rank": [1, 2], "item_id": ["a", "b"], "score": [2.0, 1.0]})
    nearly = one.set_column(3, "score", pa.array([2.0, 1.5]))
    swapped = one.set_column(2, "item_id", pa.array(["b", "a"]))
    assert difference(one, one) == (True, 0.0)
    assert difference(one, nearly) == (True, 0.5)
    assert difference(one, swapped)[0] is False
    assert difference(one, one.slice(1))[0] is False


def test_the_report_says_what_each_part_found(tmp_path: Path) -> None:
    peaks = {"block_bytes": GIB, "allowed": GIB, "peak_rss": GIB, "peak_pss": GIB, "peak_uss": GIB}
    found = {
        "kernel": rows("kernel, one thread", "sgemm", 4_096, 20_000, 0.2, agreement=0.75),
        "stage": rows("Spark stage, 2 cores", "recsys-spark", 20_000, 20_000, 4.0),
        "joins": rows("joins", "recsys-spark", 100, 100, 1.0) + rows("joins", "a rival", 100, 100, 30.0),
        "growth": [
            *(row for m, cpu in ((10, 2.0), (20, 3.0)) for row in rows("g", "recsys-spark", m, 5, cpu, growth=USERS)),
            *(row for n, cpu in ((10, 2.0), (20, 3.0)) for row in rows("h", "recsys-spark", 40 // n, n, cpu, growth=ITEMS)),
        ],
        "cores": rows("c", "local[1]", 5, 5, 4.0) + rows("c", "local[2]", 5, 5, 2.0),
        "memory": rows("m", "few", 5, 5, 1.0, **peaks, peak_total_pss=GIB, n_blocks=4, same_lists=True, score_difference=0.0),
        "broadcast": rows("b", "recsys-spark, in a file", 5, 5, 1.0, total_pss=GIB, same_lists=False),
    }  # fmt: skip
    assert set(found) == set(PARTS)
    write_results(tmp_path, [{"part": part, "machine": "M", **row} for part, some in found.items() for row in some])
    text = (tmp_path / "score.md").read_text()
    for expected in (
        "`make bench-score` on M.",
        "75.0000% or more",
        "| a rival | 3,000,000.0 | 0.00 | 30.0 | 300,000 |",
        "50% apart",
        "| local[2] | 1.00 | 2.00 | 2.00 | 1 |",
        "4 blocks give the same lists as one",
        "DIFFERENT LISTS",
    ):
        assert expected in text
    assert (tmp_path / "score.png").stat().st_size > 0


@pytest.mark.parametrize("part", PARTS)
def test_the_report_of_one_part_alone_can_be_written(part: str, tmp_path: Path) -> None:
    facts = {"growth": USERS, "total_pss": 1, "same_lists": True, "score_difference": 0.0, "n_blocks": 1}
    peaks = dict.fromkeys(("block_bytes", "allowed", "peak_rss", "peak_pss", "peak_uss", "peak_total_pss"), 1)
    method = "recsys-spark, somehow" if part == "broadcast" else "recsys-spark"
    write_results(
        tmp_path, [{"part": part, "machine": "M", **row} for row in rows("x", method, 5, 5, 1.0, **facts, **peaks)]
    )
    assert "| 5 x 5 |" in (tmp_path / "score.md").read_text()


# Burns time in a child that is not added to its parent's children when it ends, as Spark's daemon does with idle workers.
FORGETFUL = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    while time.process_time() < 0.3:
        pass
    print("burnt", flush=True)
    sys.stdin.readline()
    os._exit(0)
try:
    os.wait()
except ChildProcessError:
    print("gone", flush=True)
sys.stdin.readline()
"""


def test_cpu_time_of_a_process_that_has_ended_still_counts() -> None:
    pytest.importorskip("psutil")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", FORGETFUL], stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = tree_cpu()
        assert child.stdout.readline() == "burnt\n"
        while_there = tree_cpu()
        assert while_there > before + 0.2
        child.stdin.write("\n")
        assert child.stdout.readline() == "gone\n"
        assert tree_cpu() >= while_there
        child.stdin.write("\n")
