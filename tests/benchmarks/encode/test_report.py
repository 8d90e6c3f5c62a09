"""What the encoding benchmark makes of its rows; nothing is timed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.costs import Cost
from benchmarks.common.suite import Part
from benchmarks.encode.__main__ import ENCODE
from benchmarks.encode.again import FIRST as FIRST_RUN
from benchmarks.encode.again import NEXT as NEXT_RUN
from benchmarks.encode.again import SAME as SAME_RUN
from benchmarks.encode.quality import PLAIN_INT8
from benchmarks.encode.reload import FIRST, NEXT
from benchmarks.encode.rows import (
    FLOAT32,
    INT8,
    LIMIT,
    RIVAL,
    TOKENISER,
    UDF_RIVAL,
    EncodePlan,
    cases,
    cost_rows,
    times_as_fast,
    tokens_per_s,
)
from benchmarks.encode.texts import TITLES

Row = dict[str, Any]
PARTS = [part.name for part in ENCODE.parts]


def rows(part: str, seconds: dict[str, float], tokens: dict[str, int] | int = 1_000, **more: object) -> list[Row]:
    """One run of each method; all of its time on one core."""
    facts: Row = {"model": "M", "texts": TITLES, "origin": "a shop", "n_texts": 50, "device": "cpu", **more}
    costs = {method: [Cost(taken, taken)] for method, taken in seconds.items()}
    return [{"part": part, "machine": "X", **row} for row in cost_rows(costs, tokens, **{"what": part, **facts})]


def one_of_each() -> list[Row]:
    """A row or more for every part, with times that are easy to reckon with."""
    kernel = rows(
        "kernel",
        {LIMIT: 1.0, RIVAL: 4.0, FLOAT32: 2.0, INT8: 1.0, TOKENISER: 0.05},
        threads=1,
        padding=0.08,
        bucket_padding=0.04,
    )
    kernel[2]["cosine_with_rival"] = 0.99999
    stage = rows("stage", {LIMIT: 1.0, RIVAL: 3.0, FLOAT32: 2.0, INT8: 1.5, UDF_RIVAL: 6.0}, threads=2)
    cores = rows("cores", {"local[1]": 3.0, "local[2]": 1.5}, **{"what": FLOAT32})
    tasks = rows("reload", {FIRST: 5.0, NEXT: 2.0}, what=FLOAT32)
    for row, n in zip(tasks, (1, 200), strict=True):
        row |= {"tasks": n, "seconds_per_task": row["wall_s"] / n}
    quality = rows("quality", {FLOAT32: 1.0, INT8: 1.0, PLAIN_INT8: 1.0})
    measured = ((1.0, 1.0, 0.1), (0.995, 0.95, 0.0995), (0.98, 0.8, 0.09))
    for row, (q01, overlap, recall) in zip(quality, measured, strict=True):
        row.update(cosine_q01=q01, cosine_median=q01, cosine_worst=q01, overlap=overlap, recall=recall, n_users=9)
    facts: Row = {"part": "recommendations", "machine": "X", "model": "M", "n_users": 7, "origin": "a shop"}
    facts |= {"recall_low": 0.0, "recall_high": 1.0, "int8_instructions": "none"}
    lists = [
        {**facts, "method": method, "seed": seed, "recall": recall}
        for method, seed, recall in ((FLOAT32, 1, 0.10), (INT8, 1, 0.098), (FLOAT32, 2, 0.11))
    ]
    nights = rows("again", {FIRST_RUN: 40.0, SAME_RUN: 2.0, NEXT_RUN: 3.0})
    for row, n in zip(nights, (5_000, 0, 50), strict=True):
        row |= {"n_texts": 5_000, "n_encoded": n}
    return [*kernel, *stage, *cores, *tasks, *quality, *lists, *nights]


def test_a_ratio_is_the_median_of_the_rounds_that_ran_side_by_side() -> None:
    # A slow minute in the second round falls on both: the ratio of medians would be 12 / 4.
    mine = cost_rows({"a": [Cost(1, 1), Cost(9, 9), Cost(4, 4)]}, 100)[0]
    rival = cost_rows({"b": [Cost(2, 2), Cost(18, 18), Cost(12, 12)]}, 100)[0]
    assert times_as_fast(mine, rival) == 2.0
    assert tokens_per_s(mine) == 25.0


def test_methods_that_pass_other_amounts_through_are_compared_per_token() -> None:
    limit, mine = cost_rows({LIMIT: [Cost(1, 1)], FLOAT32: [Cost(4, 4)]}, {LIMIT: 500, FLOAT32: 1_000})
    assert times_as_fast(mine, limit) == 0.5


def test_what_did_not_run_side_by_side_is_not_compared() -> None:
    one = rows("kernel", {RIVAL: 1.0, FLOAT32: 1.0}, threads=1)
    two = rows("kernel", {RIVAL: 0.5, FLOAT32: 0.5}, threads=2)
    assert [{row["threads"] for row in case.values()} for case in cases([*one, *two])] == [{1}, {2}]


def measured() -> dict[str, str]:
    """What the tables of ratios say, by what is measured."""
    lines = [line.split(" | ") for line in ENCODE.report(one_of_each()).splitlines() if line.count(" | ") == 2]
    return {what.removeprefix("| "): found.removesuffix(" |") for what, _, found in lines}


def test_every_ratio_is_that_of_the_rows() -> None:
    of = measured()
    assert of[f"stage, float32, over {RIVAL}"] == "1.50x (1.50x by CPU-seconds)"
    assert of[f"stage, int8, over {RIVAL}"] == "2.00x (2.00x by CPU-seconds)"
    assert of["stage, float32, over predict_batch_udf"] == "3.00x (3.00x by CPU-seconds)"
    assert of["kernel, float32, share of the limit"] == "0.50 (0.50 by CPU-seconds)"
    assert of["stage, float32, share of the limit"] == "0.50 (0.50 by CPU-seconds)"
    assert of["recall@10 of plain text vectors, int8 against float32"] == "-0.5% (0.1000 to 0.0995)"
    assert of["recall@10, int8 against float32"] == "-2.0% (0.1000 to 0.0980)"
    assert of["recall@10, float32, one seed against another"] == "10.0% apart"
    assert of["padding in a bucket of 2,048 texts"] == "4.0% (in the 50 texts that are timed 8.0%)"
    assert of["tokeniser's share of the time, float32"] == "2.5%"
    assert of["stage, float32, local[2] over local[1]"] == "2.00x (3.0 and 1.5 CPU-seconds)"
    assert of["a Spark task of one text, float32"] == "10 ms, the first 5,000 ms (500x)"
    assert of["a second run, texts encoded"] == "0.0% of the first"
    assert of["a second run, time"] == "5.0% of the first"
    assert of["a run with 1 of 100 items changed, texts encoded"] == "1.0% of the first"
    rest = "without what a run costs that encodes nothing 2.6% of the CPU-seconds"
    assert of["a run with 1 of 100 items changed, time"] == f"7.5% of the first; {rest}"


def test_results_are_not_graded() -> None:
    words = set(ENCODE.report(one_of_each()).replace("*", "").split())
    assert not words & {"met", "missed", "target", "Targets", "aim"}


def test_the_report_shows_every_part_and_its_chart(tmp_path: Path) -> None:
    some = one_of_each()
    assert {row["part"] for row in some} == set(PARTS)
    ENCODE.write(tmp_path, some)
    text = (tmp_path / "encode.md").read_text()
    for expected in (
        "`make bench-encode` on X.",
        "Texts: titles (a shop).",
        "| 50 titles, M, 1 core | 1,000 | cpu | recsys-spark torch-float32 | 500 | 500 | 2.00 | 0.50 | 1 |",
        "vectors with SentenceTransformer's: 0.999990 or more.",
        "| 50 titles, M, 1 core | 1,000 | cpu | our tokeniser alone | 20,000 | 20,000 |  |  | 1 |",
        f"| 50 titles, M, 2 cores | 1,000 | cpu | {UDF_RIVAL} | 167 | 167 | 0.50 | 0.17 | 1 |",
        "| recsys-spark torch-float32 | a later task of one text | 200 | 10.0 |",
        f"| 50 titles, M | a shop | {PLAIN_INT8} | 0.9800 | 0.9800 | 0.9800 | 80.0% | 0.0900 (9 users) |",
        "| a shop | recsys-spark int8 | 1 | 7 | 0.0980 | 0.0000 to 1.0000 |",
        "| second run, same items | 5,000 | 0 | 2.00 |",
    ):
        assert expected in text
    assert "not measured" not in text
    assert (tmp_path / "encode.png").stat().st_size > 0


@pytest.mark.parametrize("part", PARTS)
def test_the_report_of_one_part_alone_can_be_written_and_names_what_is_missing(part: str, tmp_path: Path) -> None:
    ENCODE.write(tmp_path, [row for row in one_of_each() if row["part"] == part])
    text = (tmp_path / "encode.md").read_text()
    for other in PARTS:
        line = f"- not measured: {other}; `make bench-encode PARTS={other}` does it"
        assert (line in text.splitlines()) == (other != part)


def test_texts_that_are_measured_alone_leave_the_rows_of_others(tmp_path: Path) -> None:
    def run(seconds: float, texts: str, *asked: str) -> list[tuple[str, float]]:
        part: Part = ENCODE.parts[0]
        made = rows(
            "kernel", {RIVAL: seconds, FLOAT32: seconds}, texts=texts, threads=1, padding=0.0, bucket_padding=0.0
        )
        alone = Part(part.name, part.measures, lambda _: [made], part.section)
        ENCODE.run(alone, EncodePlan(texts=asked), tmp_path)
        return [(row["texts"], row["wall_s"]) for row in ENCODE.ledger.load(tmp_path) if row["method"] == RIVAL]

    run(1.0, "titles", "titles")
    run(2.0, "descriptions", "descriptions")
    assert run(3.0, "titles", "titles") == [("descriptions", 2.0), ("titles", 3.0)]
    assert run(4.0, "titles") == [("titles", 4.0)]


@pytest.mark.parametrize(
    "given", [["--parts", "cores", "--texts", "titles"], ["--parts", "kernel", "--texts", "poems"]]
)
def test_texts_that_a_part_does_not_choose_are_refused(given: list[str]) -> None:
    with pytest.raises(SystemExit):
        ENCODE.main(given)
