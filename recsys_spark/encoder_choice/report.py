"""Output of `recsys-spark encoders`: a table for the terminal, and encoders.md, encoders.json and encoders.png."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from recsys_spark import __version__
from recsys_spark.encoder_choice.compare import Comparison, Measured, first_line
from recsys_spark.encoder_choice.verdict import RULE, K

HEADS = ("encoder", "texts/s", "tokens/s", "spread", "load s", "memory MB", "width", "unknown", "cut")
CHOSEN, OTHER = "#0b6e4f", "#4a5568"
LIBRARIES = ("torch", "transformers", "tokenizers")


def table_rows(comparison: Comparison) -> list[list[str]]:
    """Return the head and a row per candidate as text; a failed candidate has its error in the last cell."""
    on_gpu = any(one.device_bytes for row in comparison.rows for one in row.measurements)
    gpu = ["GPU MB"] if on_gpu else []
    rows = [[*HEADS[:6], *gpu, *HEADS[6:], f"recall@{K} (95% interval)"]]
    for number, row in enumerate(comparison.rows):
        name = row.name + (" *" if number == comparison.verdict.chosen else "")
        rows.append([name, *(_cells(row, on_gpu) if row.error is None else _failed(row, len(rows[0]) - 2))])
    return rows


def _cells(row: Measured, on_gpu: bool) -> list[str]:
    first, quality = row.measurements[0], row.quality
    assert row.spec is not None
    return [
        f"{row.texts_per_s:,.0f}",
        f"{row.tokens_per_s:,.0f}",
        f"{row.spread:.0%}",
        f"{row.load_s:.1f}",
        f"{row.memory_bytes / 1e6:,.0f}",
        *([f"{max(one.device_bytes for one in row.measurements) / 1e6:,.0f}"] if on_gpu else []),
        f"{row.spec.width}",
        f"{first.unknown_share:.1%}",
        f"{first.cut_share:.1%}",
        f"{quality.recall:.4f} ({quality.low:.4f} to {quality.high:.4f})" if quality else "-",
    ]


def _failed(row: Measured, n_empty: int) -> list[str]:
    return [*["-"] * n_empty, f"failed: {first_line(row.error or '')}"]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, names to the left and numbers to the right.

    >>> print(text_table([["encoder", "texts/s"], ["e5", "90"]]))
    encoder  texts/s
    e5            90
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        # The last cell may be a sentence, which does not widen the column.
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True))]
        last = row[-1].rjust(len(rows[0][-1])) if len(row[-1]) <= len(rows[0][-1]) else row[-1]
        lines.append("  ".join([*cells, last]))
    return "\n".join(lines)


def conditions(comparison: Comparison) -> list[str]:
    """Return the conditions of the figures, a sentence each."""
    sample, probe = comparison.sample, comparison.sample.probe
    measurements = [one for row in comparison.rows for one in row.measurements]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    n_texts = len(sample.texts.item_texts) + len(sample.texts.user_texts)
    ranked = (
        f"all {probe.n_items:,} items with text"
        if probe.n_items == sample.n_items_with_text
        else f"{probe.n_items:,} of {sample.n_items_with_text:,} items with text, those of the users' histories first "
        "(over all of them recall is lower)"
    )
    return [
        f"recsys-spark {__version__}, run date {comparison.run_date}, from {sample.origin}; {versions}.",
        f"Device {' and '.join(sorted({one.device for one in measurements}))}, CPU threads {comparison.n_threads}, "
        f"as in one task, on {platform.machine()} with {os.cpu_count()} cores; one process per candidate and round.",
        f"Speed: {n_texts:,} profile texts ({len(sample.texts.user_texts):,} of users) after a warm-up, median of "
        f"{max(len(row.measurements) for row in comparison.rows)} rounds; "
        "spread is slowest to fastest round over the median."
        " Tokens are without padding.",
        "Load: files to encoder, checksums included, importing torch and transformers not. "
        "Memory: the process's peak minus its memory before the load.",
        "Unknown: tokens that the tokenizer does not know. Cut: tokens beyond max_length.",
        f"recall@{K}: {probe.n_users:,} users, the mean of a history's text vectors against the item held out, "
        f"untrained, over {ranked}, items seen left out.",
        f"Rule: {RULE}",
    ]


def markdown(comparison: Comparison) -> str:
    """Return encoders.md: the table and one more column, the loss against the highest recall on the same users."""
    head, *rows = table_rows(comparison)
    head.append("less than the highest (paired 95% interval)")
    for row, measured in zip(rows, comparison.rows, strict=True):
        q = measured.quality
        row.append(f"{q.loss:.4f} ({q.loss_low:.4f} to {q.loss_high:.4f})" if q else "-")
    lines = ["# Encoders compared", "", comparison.verdict.sentence, "", _line(head), _line(["---"] * len(head))]
    lines += [_line([cell.replace("|", "\\|") for cell in row]) for row in rows]
    errors = [
        line
        for row in comparison.rows
        if row.error
        for line in ("", f"`{row.name}` failed:", "", "```", row.error, "```")
    ]
    return "\n".join([*lines, *errors, "", *(f"- {line}" for line in conditions(comparison)), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return encoders.json: the figures of the table, unrounded, and every round."""
    candidates = [
        {
            "name": row.name,
            "encoder": row.encoder.model_dump(),
            "encoder_id": row.spec.encoder_id if row.spec else None,
            "width": row.spec.width if row.spec else None,
            "error": row.error,
            "recommended": number == comparison.verdict.chosen,
            "quality": asdict(row.quality) if row.quality else None,
            "rounds": [
                {key: value for key, value in asdict(one).items() if key != "ranks"} for one in row.measurements
            ],
        }
        for number, row in enumerate(comparison.rows)
    ]
    facts = {"sentence": comparison.verdict.sentence, "conditions": conditions(comparison), "k": K}
    return {**facts, "n_users": comparison.sample.probe.n_users, "candidates": candidates}


def draw(comparison: Comparison, path: Path) -> None:
    """Draw encoders.png: texts per second against recall, a dot with its interval per candidate that has both."""
    rows = [(n, row, row.quality) for n, row in enumerate(comparison.rows) if row.quality is not None]
    style: dict[Any, Any] = {"text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(11, 2.8 + 0.45 * len(rows)), dpi=150)
        ax = figure.add_axes((0.08, 0.15, 0.5, 0.8))
        for place, (number, row, quality) in enumerate(rows, 1):
            colour = CHOSEN if number == comparison.verdict.chosen else OTHER
            at = (row.texts_per_s, quality.recall)
            reach = [[quality.recall - quality.low], [quality.high - quality.recall]]
            ax.errorbar(*at, yerr=reach, fmt="o", color=colour, capsize=4, markersize=14)
            ax.annotate(f"{place}", at, fontsize=8, color="white", ha="center", va="center_baseline", zorder=4)
            # Dots of one model are close together, so the names have their own column.
            said = " (recommended)" if number == comparison.verdict.chosen else ""
            label = (
                f"{place}  {row.name}{said}\n    {row.texts_per_s:,.0f} texts/s, {row.tokens_per_s:,.0f} tokens/s, "
                f"recall {quality.recall:.4f}"
            )
            ax.text(
                1.05,
                1 - (place - 0.5) / len(rows),
                label,
                transform=ax.transAxes,
                fontsize=9,
                color=colour,
                va="center",
            )
        ax.set_xlim(0, 1.08 * max(row.texts_per_s for _, row, _ in rows))
        ax.set_ylim(0, 1.05 * max(quality.high for _, _, quality in rows) or 1)
        ax.set_xlabel("texts per second")
        ax.set_ylabel(f"recall@{K} over {comparison.sample.probe.n_items:,} items, 95% interval")
        figure.savefig(path)


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the three files into ``folder`` and return their paths; no chart where nothing has a recall."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["encoders.md", "encoders.json", "encoders.png"]
    (folder / names[0]).write_text(markdown(comparison), encoding="utf-8")
    (folder / names[1]).write_text(json.dumps(as_json(comparison), indent=1, ensure_ascii=False), encoding="utf-8")
    if any(row.quality for row in comparison.rows):
        draw(comparison, folder / names[2])
    return [folder / name for name in names if (folder / name).exists()]
