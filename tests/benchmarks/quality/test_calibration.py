"""The quality benchmark's calibration: which item is next, what was said of it, and what becomes of the rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from benchmarks.common.ledger import Row
from benchmarks.quality import calibration as quality_calibration
from benchmarks.quality import report as quality_report
from benchmarks.quality.calibration import CATALOGUE, TOP_1, TOP_MASS, UNSEEN, calibration_rows, next_item_events
from benchmarks.quality.methods import Fitted
from benchmarks.quality.metrics import COLD_USERS, OVERALL, SEGMENTS, Values
from benchmarks.quality.reliability import distinct, draw_reliability
from benchmarks.quality.report import LEDGER, keep
from benchmarks.quality.rows import figure_rows
from benchmarks.quality.split import PROTOCOLS, TEST, split_last
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from tests.benchmarks.quality.world import world_of

FACTS = {"protocol": "last", "label": "one", "settings": {}}
FACTS |= {"tune_s": 0.0, "fit_s": 1.0, "fit_cpu_s": 1.0, "evaluate_s": 0.0}
IDS = np.array(["a", "b", "c"], object)
WORLD = tiny_world(Encoder(model="none"), n_users=50, n_items=25)


def test_the_next_item_is_the_first_new_one_after_the_cut_by_time_then_by_id() -> None:
    early = [(0, 0, 0.0), (0, 1, 1.0), *[(1, 2, 2.0)] * 70]
    # u0 comes back to i0, and to i4 after i3 once more; u1 does two things at once; u2 is new.
    late = [(0, 0, 9.0), (0, 4, 12.0), (0, 3, 10.5), (0, 3, 11.0), (0, 4, 10.0), (1, 5, 9.0), (1, 3, 9.0), (2, 1, 9.0)]
    split = PROTOCOLS["time"](world_of([*early, *late]), TEST)
    assert [column.tolist() for column in split.next_items()] == [[0, 1, 2], [4, 3, 1]]
    assert split.truth_time.tolist() == [10.5, 10.0, 9.0, 9.0, 9.0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_user_with_a_truth_has_one_next_item_of_it(protocol: str) -> None:
    split = PROTOCOLS[protocol](WORLD, TEST)
    users, items = split.next_items()
    assert users.tolist() == sorted(set(split.truth_user.tolist()))
    assert set(zip(users, items, strict=True)) <= set(zip(split.truth_user, split.truth_item, strict=True))
    assert np.isfinite(split.truth_time).all()


@pytest.mark.parametrize("block", [1, 2**23])
def test_events_are_those_of_lists_by_probability_alone(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_calibration, "BLOCK_SCORES", block)
    split = split_last(WORLD, TEST)
    users, items = split.next_items()
    # Few values, so that many are equal.
    p = np.random.default_rng(0).integers(1, 4, (50, 25)).astype(float)
    p /= p.sum(1, keepdims=True)
    found = {
        (one.event, one.items): one for one in next_item_events(lambda asked: np.log(p[asked]), split, users, items)
    }
    assert set(found) == {(event, way) for event in (TOP_1, TOP_MASS) for way in (CATALOGUE, UNSEEN)}
    seen = split.train.matrix.toarray() > 0
    for (event, way), events in found.items():
        k = 1 if event == TOP_1 else 10
        for n, (user, item) in enumerate(zip(users, items, strict=True)):
            allowed = [j for j in range(25) if way == CATALOGUE or not seen[user, j]]
            best = sorted(allowed, key=lambda j: (-p[user, j], j))[:k]
            assert events.p[n] == pytest.approx(p[user, best].sum() / p[user, allowed].sum())
            assert events.happened[n] == (item in best)


def test_a_model_that_is_right_but_for_what_was_touched_is_calibrated_over_unseen_items_alone() -> None:
    split = split_last(WORLD, TEST)
    users, _ = split.next_items()
    rng = np.random.default_rng(1)
    seen = split.train.matrix.toarray() > 0
    log_p = log_softmax(rng.normal(0, 2, (50, 25)) + 4.0 * seen, axis=1)
    left = np.where(seen, -np.inf, log_p)
    # Gumbel's trick draws from the softmax.
    many = np.tile(users, 30)
    items = (left[many] + rng.gumbel(size=(len(many), 25))).argmax(1)
    found = {
        (one.event, one.items): quality_calibration.figures(one)
        for one in next_item_events(lambda asked: log_p[asked], split, many, items)
    }
    for event in (TOP_1, TOP_MASS):
        assert found[event, UNSEEN]["ece"] < found[event, UNSEEN]["ece_chance_high"]
        assert abs(found[event, UNSEEN]["gap"]) < 0.03
        # What touched items were given never happens.
        assert found[event, CATALOGUE]["gap"] > 0.05
        assert found[event, CATALOGUE]["ece"] > found[event, CATALOGUE]["ece_chance_high"]


def test_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    split = split_last(world_of([(0, 0, 1.0), (0, 1, 2.0)], 1), TEST)
    for bad in (np.log(0.5), np.nan):
        with pytest.raises(ValueError, match="sum to"):
            list(next_item_events(lambda users, bad=bad: np.full((len(users), 6), bad), split, *split.next_items()))


def test_users_are_those_of_the_main_segment_that_the_method_knows() -> None:
    split = split_last(world_of([(0, 0, 1.0), (0, 1, 2.0), (1, 2, 1.0), (1, 3, 2.0)]), TEST)
    even = np.full((3, 6), -np.log(6))
    fitted = Fitted(lambda users: even[users], np.array([True, False, True]), lambda users: even[users])
    rows = calibration_rows(fitted, split, method="m")
    assert [(row["event"], row["items"], row["segment"], row["n_users"]) for row in rows] == [
        (event, way, OVERALL, 1) for way in (CATALOGUE, UNSEEN) for event in (TOP_1, TOP_MASS)
    ]
    assert [row["mean_p"] for row in rows] == pytest.approx([1 / 6, 1.0, 1 / 5, 1.0])
    # u2 has no history; alone, he is the main segment.
    alone = replace(split, truth_user=np.array([2]), truth_item=np.array([4]), truth_time=np.zeros(1))
    assert {row["segment"] for row in calibration_rows(fitted, alone)} == {COLD_USERS}
    assert calibration_rows(replace(fitted, serves=np.zeros(3, bool)), split) == []
    assert calibration_rows(replace(fitted, log_prob=None), split) == []


def rows_of(method: str, seed: int) -> list[Row]:
    log_p = log_softmax(np.random.default_rng(seed).normal(size=(50, 25)), axis=1)
    fitted = Fitted(lambda users: log_p[users], np.ones(50, bool), lambda users: log_p[users])
    return calibration_rows(fitted, split_last(WORLD, TEST), method=method, **FACTS)


def test_rows_of_calibration_are_kept_beside_other_methods_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for drawing in ("draw", "draw_reliability"):
        monkeypatch.setattr(quality_report, drawing, lambda path, rows: None)

    def kept(method: str, calibration: list[Row]) -> None:
        some = {name: Values(np.arange(3), np.ones((3, 2))) for name in SEGMENTS}
        rows = figure_rows(some, IDS, method=method, **FACTS)
        keep(tmp_path, "tiny", "last", [*rows, *calibration], IDS, tmp_path)

    kept("EASE", [])
    assert "ECE" not in (tmp_path / "quality.md").read_text()
    kept("ours", rows_of("ours", 0))
    kept("ours", rows_of("ours", 1))
    kept("EASE", [])
    rows = [row for row in LEDGER.load(tmp_path) if row["kind"] == "calibration"]
    assert [row["method"] for row in rows] == ["ours"] * 4
    line = next(row for row in rows if (row["event"], row["items"]) == (TOP_MASS, CATALOGUE))
    assert line["mean_p"] == rows_of("ours", 1)[1]["mean_p"]
    assert sum(line["bins"]["count"]) == line["n_users"] > 40
    told = f"| {TOP_MASS} | {CATALOGUE} | {line['n_users']} | {line['mean_p']:.4f} |"
    assert told in (tmp_path / "quality.md").read_text()


def test_a_chart_is_drawn_of_what_is_there_and_goes_with_it(tmp_path: Path) -> None:
    chart = tmp_path / "calibration.png"
    draw_reliability(chart, [{"part": "tiny", **row} for row in rows_of("ours", 0)])
    assert chart.stat().st_size > 0
    draw_reliability(chart, [])
    assert not chart.exists()


def test_methods_that_score_otherwise_with_the_same_p_are_told_of_once() -> None:
    rows = [*rows_of("ours", 0), *rows_of("ours:w_cos=0", 0), *rows_of("ours:text=0", 1)]
    kept = distinct([{"part": "tiny", **row} for row in rows])
    assert [row["method"] for row in kept] == ["ours"] * 4 + ["ours:text=0"] * 4
