"""Curves of training and what the trial chose, in the quality benchmark's rows, table and chart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.common.ledger import Row
from benchmarks.quality.curves import CHART, choices_table, curve_rows, draw_curves
from benchmarks.quality.methods import Fitted
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.model.kernels.facts import ModelFacts
from tests.model.worlds import facts


def fitted(facts: ModelFacts | None) -> Fitted:
    return Fitted(lambda users: np.zeros((len(users), 1)), np.ones(1, bool), None, facts)


def facts_of(trial: bool) -> ModelFacts:
    entry = EpochLoss(epoch=1, of=2, loss=2.5, cross_entropy=2.4, bce=0.1, seconds=3.0)
    return facts(
        losses=(entry, replace(entry, epoch=2, loss=1.25)),
        trial=(TrialEpoch(entry, None),) if trial else (),
        held_out=Found(ndcg=0.125, recall=0.2, nll=3.0, temperature=1.5) if trial else None,
        choices=Choices(link_strength=4.0, temperature=1.5, cold_item_boost=0.75, w_cos=0.5),
    )


def rows(method: str = "ours", trial: bool = True) -> list[Row]:
    made = curve_rows(fitted(facts_of(trial)), method=method, protocol="time", label="x")
    return [{"part": "tiny", **row} for row in made]


def test_a_row_has_what_was_recorded_and_a_method_that_records_nothing_has_none() -> None:
    [row] = rows()
    assert (row["kind"], row["method"], len(row["losses"]), row["link_strength"]) == ("curve", "ours", 2, 4.0)
    assert "warm_item_ids" not in row
    assert curve_rows(fitted(None), method="EASE") == []


def test_the_table_says_what_each_trial_chose() -> None:
    [other] = rows("ours:text=0")
    other["losses"] = [{**entry, "loss": 3.5} for entry in other["losses"]]
    without_trial = rows("ours:trial_epochs=0", trial=False)
    lines = choices_table([*rows(), *rows("ours:w_cos=0"), other, *without_trial, {"kind": "figure"}])
    assert len(lines) == 5
    assert "| ours | 0.1250 | 4.00 | 1.50 | 0.75 | 0.50 | 1.250 | 3 + 6 |" in lines
    assert [line.split(" ")[1] for line in lines[2:4]] == ["ours", "ours:text=0"]
    assert choices_table(rows(trial=False)) == []


def test_a_split_without_the_default_model_shows_the_one_that_was_trained(tmp_path: Path) -> None:
    charts = []
    for n, methods in enumerate([["ours:epochs=6"], ["ours:epochs=6", "ours"], ["ours", "ours:epochs=6"], ["ours"]]):
        draw_curves(tmp_path / f"{n}.png", [row for method in methods for row in rows(method)])
        charts.append((tmp_path / f"{n}.png").read_bytes())
    assert charts[1] == charts[2] == charts[3] != charts[0]


def test_the_chart_is_drawn_and_goes_when_there_is_nothing_to_draw(tmp_path: Path) -> None:
    draw_curves(tmp_path / CHART, [{**row, "protocol": name} for name in "abcd" for row in rows()])
    image = plt.imread(tmp_path / CHART)
    assert image.shape[1] > 800
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20
    draw_curves(tmp_path / CHART, rows("ours:text=0"))
    assert not (tmp_path / CHART).exists()
    draw_curves(tmp_path / CHART, [])
