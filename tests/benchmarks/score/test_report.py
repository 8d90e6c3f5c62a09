"""What the scoring benchmark makes of its rows; nothing is timed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.common.costs import Cost
from benchmarks.score.__main__ import SCORE
from benchmarks.score.growth import ITEMS, USERS, marginal_deviation, spread
from benchmarks.score.memory import BASELINE, ITEM_BYTES, blocks_of
from benchmarks.score.rows import OURS, ScorePlan, cost_rows
from benchmarks.score.runs import difference

GIB = 2**30
PARTS = [part.name for part in SCORE.parts]


def rows(what: str, method: str, users: int, items: int, cpu: float, **more: object) -> list[dict[str, Any]]:
    return cost_rows(what, users, items, 10, {method: [Cost(cpu, cpu / 2)]}, **more)


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
    peaks = {"block_bytes": GIB, "peak_rss": GIB, "peak_pss": GIB, "peak_total_pss": GIB, "same_lists": True}
    users = [row for m, cpu in ((10, 2.0), (20, 3.0)) for row in rows("g", OURS, m, 5, cpu, growth=USERS)]
    items = [row for n, cpu in ((10, 2.0), (20, 3.0)) for row in rows("h", OURS, 40 // n, n, cpu, growth=ITEMS)]
    memory = [
        *rows("m", BASELINE, 1, 1, 1.0, **peaks, peak_uss=GIB, n_blocks=1, score_difference=0.0),
        *rows("m", "few", 5, 5, 1.0, **peaks, peak_uss=4 * GIB, n_blocks=4, score_difference=0.0),
    ]
    found = {
        "kernel": rows("kernel, one thread", "sgemm", 4_096, 20_000, 0.2, agreement=0.75),
        "stage": rows("Spark stage, 2 cores", OURS, 20_000, 20_000, 4.0),
        "joins": rows("joins", OURS, 100, 100, 1.0) + rows("joins", "a rival", 100, 100, 30.0),
        "growth": users + items,
        "cores": rows("c", "local[1]", 5, 5, 4.0) + rows("c", "local[2]", 5, 5, 2.0),
        "memory": memory,
        "broadcast": rows("b", f"{OURS}, in a file", 5, 5, 1.0, total_pss=GIB, same_lists=False),
    }
    assert list(found) == PARTS
    SCORE.write(tmp_path, [{"part": part, "machine": "M", **row} for part, some in found.items() for row in some])
    text = (tmp_path / "score.md").read_text()
    for expected in (
        "`make bench-score` on M.",
        "75.0000% or more",
        "| Spark stage, 2 cores | 20,000 x 20,000 | 10 | recsys-spark | 10.00 | 4.10 |",
        "| a rival | 3,000,000.0 | 0.00 | 30.0 | 300,000 |",
        "50% apart",
        "| local[2] | 1.00 | 2.00 | 2.00 | 1 |",
        "| code only: 16 users x 16 items | 1 x 1 | 1 | 1024 | 1024 | 1024 | 1024 | 1024 |  |",
        "| few | 5 x 5 | 4 | 1024 | 1024 | 1024 | 4096 | 1024 | 3.0 |",
        "4 blocks give the same lists as one",
        "DIFFERENT LISTS",
    ):
        assert expected in text
    assert (tmp_path / "score.png").stat().st_size > 0


@pytest.mark.parametrize("part", PARTS)
def test_the_report_of_one_part_alone_can_be_written(part: str, tmp_path: Path) -> None:
    facts = {"growth": USERS, "total_pss": 1, "same_lists": True, "score_difference": 0.0, "n_blocks": 1}
    peaks = dict.fromkeys(("block_bytes", "peak_rss", "peak_pss", "peak_uss", "peak_total_pss"), 1)
    method = "recsys-spark, somehow" if part == "broadcast" else "recsys-spark"
    some = rows("x", method, 5, 5, 1.0, **facts, **peaks)
    SCORE.write(tmp_path, [{"part": part, "machine": "M", **row} for row in some])
    assert "| 5 x 5 |" in (tmp_path / "score.md").read_text()


def test_quick_and_tiny_are_smaller() -> None:
    assert ScorePlan(quick=True).sizes == ScorePlan().sizes[:1]
    assert max(ScorePlan(tiny=True, quick=True).sizes) < min(ScorePlan().sizes)
