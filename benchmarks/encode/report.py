"""The encoding benchmark's report and chart, from the rows of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.common.ledger import OTHER, OWN, Row
from benchmarks.encode.results import LEDGER, LIMIT, OURS, PARTS, RIVAL, UDF_RIVAL, cases, of, title, tokens_per_s
from benchmarks.encode.tables import TABLES

SHORT = {LIMIT: "limit: products alone", RIVAL: "SentenceTransformer", UDF_RIVAL: "predict_batch_udf"}
COLOURS = {LIMIT: "#e0c58f"}


def write_results(folder: Path, rows: Sequence[Row]) -> None:
    """encode.md and encode.png in ``folder``."""
    lines = [
        "# Encoding, measured side by side",
        "",
        f"`make bench-encode` on {LEDGER.measured_on(rows)}. Instructions that multiply int8: {instructions(rows)}. Texts: {origins(rows)}. "
        "Methods take turns; ratios are medians over the rounds, of tokens per second unless CPU-seconds, those of all processes, are named.",
        "",
        *not_measured(rows),
    ]
    for lines_of in TABLES:
        lines += lines_of(rows)
    (folder / "encode.md").write_text("\n".join(lines).rstrip() + "\n")
    draw(folder / "encode.png", rows)


def not_measured(rows: Sequence[Row]) -> list[str]:
    """A line for each part that the rows say nothing of, with the command that measures it.

    >>> not_measured([{"part": part} for part in PARTS if part != "quality"])
    ['- not measured: quality; `make bench-encode PARTS=quality` does it', '']
    """
    lines = [
        f"- not measured: {part}; `make bench-encode PARTS={part}` does it" for part in PARTS if not of(rows, part)
    ]
    return [*lines, ""] if lines else []


def instructions(rows: Sequence[Row]) -> str:
    """Of all machines.

    >>> instructions([{"int8_instructions": "none"}, {"int8_instructions": "avx_vnni"}])
    'none; avx_vnni'
    """
    return "; ".join(dict.fromkeys(row["int8_instructions"] for row in rows))


def origins(rows: Sequence[Row]) -> str:
    """Where the texts are from.

    >>> origins([{"texts": "titles", "origin": "a shop"}, {"texts": "titles", "origin": "a shop"}, {"seed": 1}])
    'titles (a shop)'
    """
    named = [(row["texts"], row["origin"]) for row in rows if "texts" in row]
    return ", ".join(f"{texts} ({origin})" for texts, origin in dict.fromkeys(named))


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Bars of tokens per second, a panel for each case of kernel and stage."""
    shown = [
        [row for row in case.values() if row["method"] in SHORT or row["method"].startswith(OURS)]
        for part in ("kernel", "stage")
        for case in cases(of(rows, part))
    ]
    if not shown:
        return
    columns = [[panel for panel in shown if panel[0]["part"] == part] for part in ("kernel", "stage")]
    columns = [column for column in columns if column]
    n_rows = max(map(len, columns))
    figure, axes = plt.subplots(
        n_rows, len(columns), figsize=(5.6 * len(columns), 1.6 * n_rows + 0.6), layout="constrained", squeeze=False
    )
    for column, place in zip(columns, axes.T, strict=True):
        for axis in place[len(column) :]:
            axis.set_visible(False)
        for panel, axis in zip(column, place, strict=False):
            labels = [SHORT.get(row["method"], row["method"].replace("torch-", "")) for row in panel]
            colours = [COLOURS.get(row["method"], OWN if row["method"].startswith(OURS) else OTHER) for row in panel]
            bars = axis.barh(range(len(panel)), [tokens_per_s(row) for row in panel], color=colours)
            axis.set_yticks(range(len(panel)), labels)
            axis.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
            axis.margins(x=0.18)
            axis.invert_yaxis()
            axis.set_title(f"{panel[0]['what']}: {title(panel[0])}", fontsize=9, loc="left")
            axis.tick_params(labelsize=8)
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.spines[["top", "right"]].set_visible(False)
        place[len(column) - 1].set_xlabel("tokens per second (more is better)", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
