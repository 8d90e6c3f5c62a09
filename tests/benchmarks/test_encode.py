"""What the encoding benchmark makes of its rows and texts; nothing is timed here but that it runs at all."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.common.measure import Cost
from benchmarks.encode import (
    again as encode_again,
)
from benchmarks.encode import (
    quality as encode_quality,
)
from benchmarks.encode import (
    report as encode_report,
)
from benchmarks.encode import (
    results as encode_results,
)
from benchmarks.encode import (
    targets as encode_targets,
)
from benchmarks.encode import (
    texts as encode_texts,
)
from benchmarks.encode.again import FIRST as FIRST_RUN
from benchmarks.encode.again import NEXT as NEXT_RUN
from benchmarks.encode.again import SAME as SAME_RUN
from benchmarks.encode.cases import Case, parameters
from benchmarks.encode.quality import PLAIN_INT8, compared
from benchmarks.encode.reload import FIRST, NEXT
from benchmarks.encode.report import write_results
from benchmarks.encode.results import (
    LEDGER,
    LIMIT,
    PARTS,
    RIVAL,
    TOKENISER,
    UDF_RIVAL,
    cases,
    cost_rows,
    keep,
    ours,
    times_as_fast,
    tokens_per_s,
)
from benchmarks.encode.targets import found
from benchmarks.encode.texts import TITLES, distinct, long_profiles, read_texts
from tests.tiny_encoder import INNER, LAYERS, WIDTH, tiny_encoder

Row = dict[str, Any]
FLOAT32, INT8 = ours("torch-float32"), ours("int8")
DOCUMENTED = (
    encode_again, encode_quality, encode_report, encode_results, encode_targets, encode_texts,
)  # fmt: skip


def rows(part: str, seconds: dict[str, float], tokens: dict[str, int] | int = 1_000, **more: object) -> list[Row]:
    """One run of each method; all of its time on one core."""
    facts: Row = {"model": "M", "texts": TITLES, "origin": "a shop", "n_texts": 50, "device": "cpu", **more}
    costs = {method: [Cost(taken, taken)] for method, taken in seconds.items()}
    return [{"part": part, "machine": "X", **row} for row in cost_rows(costs, tokens, **{"what": part, **facts})]


def figures(some: list[Row]) -> dict[str, tuple[str, bool | None]]:
    """By what is aimed at."""
    return {line.what: (line.figure, line.met) for line in found(some)}


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
    for row, (q01, shared, recall) in zip(
        quality, ((1.0, 1.0, 0.1), (0.995, 0.95, 0.0995), (0.98, 0.8, 0.09)), strict=True
    ):
        row |= {
            "cosine_q01": q01, "cosine_median": q01, "cosine_worst": q01, "overlap": shared, "recall": recall, "n_users": 9,
        }  # fmt: skip
    lists = [
        {
            "part": "recommendations", "machine": "X", "model": "M", "method": method, "seed": seed, "n_users": 7, "origin": "a shop",
            "recall": recall, "recall_low": 0.0, "recall_high": 1.0, "int8_instructions": "none",
        }
        for method, seed, recall in ((FLOAT32, 1, 0.10), (INT8, 1, 0.098), (FLOAT32, 2, 0.11))
    ]  # fmt: skip
    nights = rows("again", {FIRST_RUN: 40.0, SAME_RUN: 2.0, NEXT_RUN: 3.0})
    for row, n in zip(nights, (5_000, 0, 50), strict=True):
        row |= {"n_texts": 5_000, "n_encoded": n}
    return [*kernel, *stage, *cores, *tasks, *quality, *lists, *nights]


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_in_docstrings_hold(module: Any) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed


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


def test_every_line_of_the_issue_has_its_figure_from_the_rows() -> None:
    of = figures(one_of_each())
    assert of[f"stage, float32, over {RIVAL}"] == ("1.50x (1.50x by CPU-seconds)", True)
    assert of[f"stage, int8, over {RIVAL}"] == ("2.00x (2.00x by CPU-seconds)", False)
    assert of["stage, float32, over predict_batch_udf"] == ("3.00x (3.00x by CPU-seconds)", None)
    assert of["kernel, float32, share of the limit"] == ("0.50 (0.50 by CPU-seconds)", False)
    assert of["stage, float32, share of the limit"][1] is False
    assert of["int8, cosine with float32 of 99% of texts"][0].startswith("0.9950 ")
    assert of["int8, top-10 neighbours shared with float32"] == ("95.0%", True)
    assert of["recall@10 of plain text vectors, int8 against float32"] == ("-0.5% (0.1000 to 0.0995)", True)
    assert of["recall@10 of the recommendations, int8 against float32"] == ("-2.0% (0.1000 to 0.0980)", False)
    assert of["recall@10 of the recommendations, float32, one seed against another"] == ("10.0% apart", None)
    assert of["padding in a bucket of 2,048 texts"] == ("4.0% (in the 50 texts that are timed 8.0%)", True)
    assert of["tokeniser's share of the time, float32"] == ("2.5%", True)
    assert of["stage, float32, local[2] over local[1]"] == ("2.00x (3.0 and 1.5 CPU-seconds)", True)
    assert of["a Spark task of one text, float32"] == ("10 ms, the first 5,000 ms", True)
    assert of["a second run"] == ("0 texts, 2.0 s (5.0% of the first)", True)
    assert of["a run with 1 of 100 items changed, texts encoded"] == ("50 texts (1.0%)", True)
    figure, met = of["a run with 1 of 100 items changed, time"]
    assert figure == "7.5% (3.0 s); without what a run costs that encodes nothing 2.6% of the CPU-seconds"
    assert met is False


@pytest.mark.parametrize(
    ("part", "change", "what"),
    [
        ("again", {"method": SAME_RUN, "n_encoded": 1}, "a second run"),
        ("again", {"method": NEXT_RUN, "n_encoded": 4_000}, "a run with 1 of 100 items changed, texts encoded"),
        ("reload", {"method": NEXT, "seconds_per_task": 4.0}, "a Spark task of one text, float32"),
        ("quality", {"method": INT8, "overlap": 0.9}, "int8, top-10 neighbours shared with float32"),
        ("kernel", {"method": FLOAT32, "bucket_padding": 0.06}, "padding in a bucket of 2,048 texts"),
    ],
)  # fmt: skip
def test_a_target_that_is_missed_is_called_missed(part: str, change: Row, what: str, tmp_path: Path) -> None:
    some = one_of_each()
    assert figures(some)[what][1] is True
    for row in some:
        if row["part"] == part and row["method"] == change["method"]:
            row.update(change)
    assert figures(some)[what][1] is False
    write_results(tmp_path, some)
    [line] = [line for line in (tmp_path / "encode.md").read_text().splitlines() if line.startswith(f"| {what} |")]
    assert line.endswith("| **missed** |")


def test_the_report_shows_every_part_and_its_chart(tmp_path: Path) -> None:
    some = one_of_each()
    assert {row["part"] for row in some} == set(PARTS)
    write_results(tmp_path, some)
    text = (tmp_path / "encode.md").read_text()
    for expected in (
        "`make bench-encode` on X.",
        "Texts: titles (a shop).",
        "| 50 titles, M, 1 core | 1,000 | cpu | recsys-spark torch-float32 | 500 | 500 | 2.00 | 0.50 | 1 |",
        "vectors with SentenceTransformer's: 0.999990 or more.",
        "| 50 titles, M, 1 core | 1,000 | cpu | our tokeniser alone | 20,000 | 20,000 |  |  | 1 |",
        "| 50 titles, M, 2 cores | 1,000 | cpu | predict_batch_udf with SentenceTransformer | 167 | 167 | 0.50 | 0.17 | 1 |",
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
    write_results(tmp_path, [row for row in one_of_each() if row["part"] == part])
    text = (tmp_path / "encode.md").read_text()
    assert "## Targets" in text
    for other in PARTS:
        line = f"- not measured: {other}; `make bench-encode PARTS={other}` does it"
        assert (line in text.splitlines()) == (other != part)


def test_texts_that_are_measured_alone_leave_the_rows_of_others(tmp_path: Path) -> None:
    for texts, seconds in (("titles", 1.0), ("descriptions", 2.0), ("titles", 3.0)):
        keep(tmp_path, "kernel", rows("kernel", {RIVAL: seconds}, texts=texts), [texts])
    assert [(row["texts"], row["wall_s"]) for row in LEDGER.load(tmp_path)] == [("descriptions", 2.0), ("titles", 3.0)]
    keep(tmp_path, "kernel", rows("kernel", {RIVAL: 4.0}))
    assert [(row["texts"], row["wall_s"]) for row in LEDGER.load(tmp_path)] == [("titles", 4.0)]


def test_texts_without_data_come_from_the_generated_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECSYS_DATA_DIR", raising=False)
    titles, again = read_texts(TITLES), read_texts(TITLES)
    assert titles.origin == "the project's generated shop"
    assert titles.texts == again.texts
    assert len(titles.texts) == len(set(titles.texts)) > 2_048
    assert Case("m", "M", TITLES, 3, "passage: ").read().texts == [f"passage: {text}" for text in titles.texts[:3]]


def test_texts_are_the_data_folders_where_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mooccubex").mkdir()
    (tmp_path / "mooccubex" / "courses_about.csv").write_text(
        'id,about\nC_1,"古典, 文学"\nC_2,\nC_3,"古典, 文学"\n', "utf-8"
    )
    monkeypatch.setenv("RECSYS_DATA_DIR", str(tmp_path))
    assert read_texts("descriptions").texts == ["古典, 文学"]


def test_long_profiles_are_all_different_and_the_same_every_time() -> None:
    titles = [f"title {n}" for n in range(12_086)]
    made = long_profiles(titles)
    assert made == long_profiles(titles)
    assert len(set(made)) == len(made) == 2_048
    assert distinct(made) == made
    assert all(len(set(parts)) == len(parts) for parts in (text.split("; ") for text in made))


def test_parameters_are_those_that_multiply(tmp_path: Path) -> None:
    biases_and_norms = 3 * WIDTH + WIDTH + INNER + WIDTH + 4 * WIDTH
    matrices = 4 * WIDTH * WIDTH + 2 * WIDTH * INNER
    assert parameters(tiny_encoder(tmp_path)) == LAYERS * (matrices + biases_and_norms)


def test_quality_is_measured_against_the_first_vectors() -> None:
    exact = np.eye(12, dtype=np.float32)
    other = exact[::-1].copy()
    same, turned = compared({"exact": exact, "turned": other}, None)
    assert (same["cosine_q01"], same["overlap"]) == (1.0, 1.0)
    assert (turned["cosine_median"], turned["cosine_worst"]) == (0.0, 0.0)
