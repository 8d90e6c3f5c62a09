"""The quality benchmark's metrics, report and a tiny run; test_benchmarks_quality_splits.py and _methods.py have the rest."""

from __future__ import annotations

import doctest
import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import (
    baselines as quality_baselines,
)
from benchmarks.quality import (
    data as quality_data,
)
from benchmarks.quality import (
    metrics as quality_metrics,
)
from benchmarks.quality import (
    ours as quality_ours,
)
from benchmarks.quality import (
    profiles as quality_profiles,
)
from benchmarks.quality import (
    readers as quality_readers,
)
from benchmarks.quality import (
    report as quality_report,
)
from benchmarks.quality import (
    results as quality_results,
)
from benchmarks.quality import (
    texts as quality_texts,
)
from benchmarks.quality.__main__ import method_of, run
from benchmarks.quality.metrics import (
    AMONG_COLD,
    COLD_IN_LIST,
    COLD_USERS,
    OVERALL,
    WARM,
    Values,
    evaluate,
    interval,
    paired_difference,
    ranks,
    replicate_means,
)
from benchmarks.quality.readers import read_world
from benchmarks.quality.results import LEDGER, best_rival, figure_rows, keep, load_values, store_values
from benchmarks.quality.split import PROTOCOLS, TEST, protocols_of, split_last
from benchmarks.quality.tiny import DAY, tiny_world
from recsys_spark.config.sections import Encoder
from tests.benchmarks.quality_world import world_of
from tests.tiny_encoder import tiny_encoder

DOCUMENTED = (
    quality_baselines, quality_data, quality_metrics, quality_ours, quality_profiles, quality_readers, quality_report,
    quality_results, quality_texts,
)  # fmt: skip


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_in_docstrings_hold(module: Any) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed


def test_equal_scores_are_ranked_by_item_id() -> None:
    scores = np.array([[1.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert ranks(scores, np.array([0, 0, 0, 1]), np.array([0, 3, 2, 3])).tolist() == [2, 4, 1, 4]
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (7, 50)).astype(float)
    row, item = np.divmod(np.arange(350), 50)
    lists = np.argsort(-scores, axis=1, kind="stable")
    assert (lists[row, ranks(scores, row, item) - 1] == item).all()


def test_segments_are_those_of_a_case_by_hand() -> None:
    # Train: u0 has i0, i1; u1 has i1. Cold: i2 to i5, and u2. The last tenth of 10 rows is the truth.
    early = [(0, 0, 0.0), (0, 1, 1.0), (1, 1, 2.0), *[(1, 1, 2.0)] * 15]
    late = [(0, 4, 9.0), (1, 0, 9.0)]
    split = PROTOCOLS["time"](world_of([*early, *late]), TEST)
    split = replace(
        split, truth_user=np.array([0, 1, 1, 2]), truth_item=np.array([4, 0, 5, 1])
    )  # u2 never seen, i4 and i5 cold
    scores = np.array([[0.5, 0.9, 0.6, 0.8, 0.9, 0.9], [0.5, 0.9, 0.6, 0.2, 0.7, 0.1], [0.1, 0.9, 0.6, 0.2, 0.7, 0.1]])
    values = evaluate(lambda users: scores[users], split)
    log2 = np.log2
    # u0, without i0 and i1: i4 first, by its id. u1, without i1: i4, i2, i0 (3rd), i3, i5 (5th). u2: i1 first.
    both = (1 / log2(4) + 1 / log2(6)) / (1 + 1 / log2(3))
    assert values[OVERALL].users.tolist() == [0, 1]
    np.testing.assert_allclose(values[OVERALL].values, [[1, 1], [1, both]])
    np.testing.assert_allclose(values[WARM].values, [[1, 1 / log2(4)]])
    np.testing.assert_allclose(values[COLD_IN_LIST].values, [[1, 1], [1, 1 / log2(6)]])
    # Among the cold i4, i2, i3, i5: fourth.
    np.testing.assert_allclose(values[AMONG_COLD].values, [[1, 1], [1, 1 / log2(5)]])
    np.testing.assert_allclose(values[COLD_USERS].values, [[1, 1]])


def test_recall_divides_by_ten_at_most_and_hits_beyond_ten_count_nothing() -> None:
    n = 15
    split = replace(
        split_last(world_of([(0, 0, 1.0), (0, 1, 2.0)], 1, 40), TEST),
        truth_user=np.zeros(n, np.int64),
        truth_item=np.arange(5, 5 + n),
    )
    descending = -np.arange(40.0)
    values = evaluate(lambda users: np.tile(descending, (len(users), 1)), split)
    # Ranked: i1 .. i4 (i0 is seen), then i5 .. i10 on ranks 5 to 10: six hits of ten.
    assert values[OVERALL].values[0, 0] == pytest.approx(0.6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    split = split_last(world_of([(0, 0, 1.0), (0, 1, 2.0)], 1), TEST)
    with pytest.raises(ValueError, match="finite"):
        evaluate(lambda users: np.full((len(users), 6), bad), split)


def test_intervals_cover_and_a_paired_difference_is_narrower_than_two_apart() -> None:
    rng = np.random.default_rng(3)
    ids = np.array([f"u{number}" for number in range(2_000)], object)
    hard = rng.random((2_000, 2))
    one, other = Values(np.arange(2_000), hard), Values(np.arange(2_000), np.clip(hard - 0.02, 0, 1))
    low, high = interval(replicate_means(one, ids))
    error = hard.std(0) / np.sqrt(2_000)
    np.testing.assert_allclose(high - low, 2 * 1.96 * error, rtol=0.12)
    assert ((low < hard.mean(0)) & (hard.mean(0) < high)).all()
    mean, low, high = paired_difference(one, other, ids)
    assert (low > 0.018).all()
    assert (low < mean).all()
    assert (high - low < 0.1 * error).all()
    with pytest.raises(ValueError, match="not of one split"):
        paired_difference(one, Values(np.arange(5), hard[:5]), ids)


def test_a_method_replaces_its_own_rows_and_is_paired_with_those_of_its_split_alone(tmp_path: Path) -> None:
    ids = np.array(["a", "b", "c"], object)

    def kept(method: str, label: str, hits: list[float]) -> None:
        some = {name: Values(np.arange(3), np.repeat(hits, 2).reshape(3, 2)) for name in quality_metrics.SEGMENTS}
        facts = {
            "protocol": "last", "method": method, "label": label, "settings": {}, "tried": [], "threads": 1,
            "tune_s": 0.0, "fit_s": 1.0, "fit_cpu_s": 1.0, "evaluate_s": 0.0,
        }  # fmt: skip
        store_values(label, method, some, tmp_path)
        keep(tmp_path, "tiny", "last", figure_rows(some, ids, **facts), ids, tmp_path)

    kept("EASE", "one", [0.0, 0.5, 1.0])
    kept("iALS", "one", [1.0, 1.0, 1.0])
    kept("iALS", "of other data", [1.0, 1.0, 1.0])
    kept("ours", "one", [0.5, 0.5, 1.0])
    kept("EASE", "one", [0.0, 0.5, 0.5])
    rows = LEDGER.load(tmp_path)
    figures = {row["method"]: row["ndcg"] for row in rows if (row["kind"], row["segment"]) == ("figure", OVERALL)}
    assert figures == {"EASE": pytest.approx(1 / 3), "iALS": 1.0, "ours": pytest.approx(2 / 3)}
    assert sum(row["method"] == "EASE" and row["segment"] == OVERALL for row in rows) == 1
    [difference] = [row for row in rows if row["kind"] == "difference" and row["segment"] == OVERALL]
    assert (difference["method"], difference["rival"]) == ("ours", "EASE")
    assert difference["ndcg"] == pytest.approx(1 / 3)
    assert difference["ndcg_relative"] == pytest.approx(1.0)
    assert set(load_values("one", tmp_path)) == {"EASE", "iALS", "ours"}
    assert best_rival(rows, OVERALL) == "iALS"
    text = (tmp_path / "quality.md").read_text()
    assert "| ours | 0.6667 / 0.6667 |" in text
    assert (tmp_path / "quality.png").stat().st_size > 0


def test_tiny_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawn once in tests of their own; here they would be after every method.
    charts: list[Path] = []
    monkeypatch.setattr(quality_report, "draw_reliability", lambda path, rows: charts.append(path))
    monkeypatch.setattr(quality_report, "draw_curves", lambda path, rows: charts.append(path))
    encoder = Encoder(model=str(tiny_encoder(tmp_path)), max_length=16)
    world = tiny_world(encoder, n_users=60, n_items=25)
    methods = [
        "popularity",
        "recent popularity",
        "ItemKNN",
        "EASE",
        "text neighbours",
        "ours:epochs=2",
        "ours:epochs=2;text=0",
    ]
    assert run(world, methods, ["time", "users"], 1, tmp_path / "results", tmp_path / "cache") == []
    rows = LEDGER.load(tmp_path / "results")
    by_protocol = {
        protocol: {row["method"] for row in rows if row["protocol"] == protocol and row["kind"] == "figure"}
        for protocol in ("time", "users")
    }
    assert by_protocol["time"] == set(methods)
    assert by_protocol["users"] == set(methods) - {"ItemKNN", "EASE"}
    assert all(0 <= row["ndcg_low"] <= row["ndcg"] <= row["ndcg_high"] <= 1 for row in rows if row["kind"] == "figure")
    knn = next(row for row in rows if row["method"] == "ItemKNN")
    assert [settings for settings, _ in knn["tried"]] == list(quality_baselines.BASELINES["ItemKNN"].grid)
    assert "paired difference" in (tmp_path / "results" / "quality.md").read_text()
    calibrated = [(row["method"], row["protocol"]) for row in rows if row["kind"] == "calibration"]
    assert set(calibrated) == {(name, protocol) for name in methods[-2:] for protocol in ("time", "users")}
    assert set(charts) == {tmp_path / "results" / name for name in ("calibration.png", "curves.png")}
    curves = [(row["method"], row["protocol"]) for row in rows if row["kind"] == "curve"]
    assert set(curves) == set(calibrated)


def test_a_failed_method_does_not_take_the_others_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = tiny_world(Encoder(model=str(tmp_path / "nowhere")), n_users=40, n_items=20)
    failed = run(world, ["text neighbours", "popularity"], ["last"], 1, tmp_path / "results", tmp_path / "cache")
    assert [line.startswith("tiny, last, text neighbours: EncoderError") for line in failed] == [True]
    assert {row["method"] for row in LEDGER.load(tmp_path / "results")} == {"popularity"}
    assert "popularity" in capsys.readouterr().out


def test_a_change_of_ours_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch is no key"):
        method_of("ours:epoch=3")
    assert method_of("ours:epochs=3;w_cos=0").grid == [{"epochs": 3.0, "w_cos": 0.0}]


def test_beauty_is_read_with_items_that_nobody_bought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "amazon-beauty"
    folder.mkdir()
    tables = {
        "interactions": "user_id\titem_id\ttimestamp\nb\t10\t86400\nb\t9\t86400\na\t9\t0\n",
        "items": 'item_id\ttitle\n9\tA 5" brush\n10\tSoap &amp; oil\n11\tNew\n',
    }
    for name, text in tables.items():
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("RECSYS_DATA_DIR", str(tmp_path))
    world = read_world("amazon-beauty")
    assert world.items.tolist() == ["10", "11", "9"]
    assert world.rows.item.tolist() == [0, 2, 2]
    assert quality_texts.item_texts(world) == ["Soap & oil", "New", 'A 5" brush']
    assert protocols_of(world) == ["time", "last"]
    assert world.as_of == DAY + 1
