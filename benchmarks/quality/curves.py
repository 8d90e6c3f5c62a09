"""The training curves of the quality benchmark, and what each trial chose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.charts import OTHER, OWN, grid, save, tidy
from benchmarks.common.ledger import Row
from benchmarks.common.tables import Columns, shown, table
from benchmarks.quality.methods import Fitted
from benchmarks.quality.ours import OURS, changes_of
from recsys_spark.config.model import Model
from recsys_spark.model.kernels.choices import Choices

CURVE = "curve"
CHART = "curves.png"


def curve_rows(fitted: Fitted, **facts: object) -> list[Row]:
    """Return one row with the losses of each epoch and what the trial chose; ``facts`` go into it.

    A method that records nothing has no row.
    """
    if fitted.facts is None:
        return []
    found = fitted.facts
    kept = {
        "losses": [entry.as_dict() for entry in found.losses],
        "trial": [entry.as_dict() for entry in found.trial],
        "held_out": found.held_out.as_dict() if found.held_out else None,
        **found.choices.as_dict(),
    }
    return [{"kind": CURVE, **facts, **kept}]


def seconds(entries: Sequence[dict[str, Any]]) -> float:
    """Return the seconds of all epochs.

    >>> seconds([{"seconds": 1.5}, {"seconds": 2.0}])
    3.5
    """
    return float(sum(entry["seconds"] for entry in entries))


CHOSEN: Columns = {
    "chosen by the trial of": shown("method"),
    "ndcg on what was held out": lambda row: f"{row['held_out']['ndcg']:.4f}",
    **{choice.heading: shown(name, ".2f") for name, choice in Choices.every().items()},
    "last loss": lambda row: f"{row['losses'][-1]['loss']:.3f}",
    "epochs of trial and training, s": lambda row: f"{seconds(row['trial']):.0f} + {seconds(row['losses']):.0f}",
}


def choices_table(rows: Sequence[Row]) -> list[str]:
    """Return a line for each training with a trial; nothing if there is none.

    Of methods that share a training it is the first.
    """
    # Losses of two trainings are never equal to the last digit; a training that is shared was timed once.
    trainings = {str(row["losses"]): row for row in reversed(rows) if row["kind"] == CURVE and row["held_out"]}
    shown = list(reversed(trainings.values()))
    # Rows that were measured before a choice existed do not have it.
    absent = {one.heading for name, one in Choices.every().items() if not any(name in row for row in shown)}
    return table(shown, {head: cell for head, cell in CHOSEN.items() if head not in absent}) if shown else []


def draw_curves(path: Path, rows: Sequence[Row]) -> None:
    """Draw the loss by epoch of our model, trial and training, a panel for each split.

    The model is the default one; if that was not trained, one with other training settings. Without curves nothing is
    drawn, and a chart of earlier ones is deleted.
    """
    of_split: dict[tuple[str, str], Row] = {}
    for row in rows:
        split = row["part"], row["protocol"]
        is_whole = row["kind"] == CURVE and Model.model_fields.keys() >= changes_of(row["method"]).keys()
        if is_whole and (row["method"] == OURS or split not in of_split):
            of_split[split] = row
    if not of_split:
        path.unlink(missing_ok=True)
        return
    n_lines = -(-len(of_split) // 3)
    figure, axes = grid(n_lines, 3, (11, 2.6 * n_lines + 0.4))
    for axis in axes.flat[len(of_split) :]:
        axis.set_visible(False)
    for row, axis in zip(of_split.values(), axes.flat, strict=False):
        _panel(axis, row)
    axes[0, 0].legend(fontsize=8, frameon=False)
    save(figure, path)


def _panel(axis: Any, row: Row) -> None:
    labels = {"trial": ("trial, without the newest behaviours", OTHER), "losses": ("training", OWN)}
    for name, (label, colour) in labels.items():
        epochs, losses = ([entry[key] for entry in row[name]] for key in ("epoch", "loss"))
        axis.plot(epochs, losses, color=colour, label=label, marker=".")
    changed = [f"{key}={value}" for key, value in changes_of(row["method"]).items()]
    tidy(axis, f"{', '.join([row['part'], row['protocol'], *changed])}: loss")
    axis.set_xlabel("epoch", fontsize=8)
