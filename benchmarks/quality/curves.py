"""The training curves of the quality benchmark, and what each trial chose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.common.ledger import OTHER, OWN, Row, table
from benchmarks.quality.methods import Fitted
from benchmarks.quality.ours import OURS, changes_of
from recsys_spark.config.sections import Model
from recsys_spark.training.kernels.choices import CHOICES

CURVE = "curve"
CHART = "curves.png"


def curve_rows(fitted: Fitted, **facts: object) -> list[Row]:
    """One row with the losses of each epoch and what the trial chose; ``facts`` go into it. None of a method that records nothing."""
    if fitted.facts is None:
        return []
    kept = {name: fitted.facts[name] for name in ("losses", "trial", "held_out", *CHOICES)}
    return [{"kind": CURVE, **facts, **kept}]


def choices_table(rows: Sequence[Row]) -> list[str]:
    """A line for each training with a trial, of methods that share one the first; nothing where there is none."""
    # Losses of two trainings are never equal to the last digit; a training that is shared was timed once.
    trainings = {str(row["losses"]): row for row in reversed(rows) if row["kind"] == CURVE and row["held_out"]}
    body = [
        [
            row["method"], f"{row['held_out']['ndcg']:.4f}", *(f"{row[name]:.2f}" for name in CHOICES),
            f"{row['losses'][-1]['loss']:.3f}", f"{seconds(row['trial']):.0f} + {seconds(row['losses']):.0f}",
        ]
        for row in reversed(trainings.values())
    ]  # fmt: skip
    if not body:
        return []
    head = [
        "chosen by the trial of", "ndcg on what was held out", "links, times", "temperature", "cold items, +",
        "w_cos", "last loss", "epochs of trial and training, s",
    ]  # fmt: skip
    return table(head, body)


def seconds(entries: Sequence[dict[str, Any]]) -> float:
    """Of all epochs.

    >>> seconds([{"seconds": 1.5}, {"seconds": 2.0}])
    3.5
    """
    return float(sum(entry["seconds"] for entry in entries))


def draw_curves(path: Path, rows: Sequence[Row]) -> None:
    """Loss by epoch of our model, trial and training, a panel for each split: of the default one where that was trained, else of one with other training settings. Without curves nothing is drawn, and a chart of earlier ones goes."""
    of_split: dict[tuple[str, str], Row] = {}
    for row in rows:
        split = row["part"], row["protocol"]
        is_whole = row["kind"] == CURVE and Model.model_fields.keys() >= changes_of(row["method"]).keys()
        if is_whole and (row["method"] == OURS or split not in of_split):
            of_split[split] = row
    shown = list(of_split.values())
    if not shown:
        path.unlink(missing_ok=True)
        return
    n_lines = -(-len(shown) // 3)
    figure, axes = plt.subplots(n_lines, 3, figsize=(11, 2.6 * n_lines + 0.4), layout="constrained", squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for row, axis in zip(shown, axes.flat, strict=False):
        for name, colour in (("trial", OTHER), ("losses", OWN)):
            entries = row[name]
            label = "trial, without the newest behaviours" if name == "trial" else "training"
            axis.plot(
                [e["epoch"] for e in entries], [e["loss"] for e in entries], color=colour, label=label, marker="."
            )
        changed = [f"{key}={value}" for key, value in changes_of(row["method"]).items()]
        axis.set_title(f"{', '.join([row['part'], row['protocol'], *changed])}: loss", fontsize=8, loc="left")
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
