"""The scoring benchmark's table and chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def write_results(folder: Path, machine: str, rows: list[dict[str, Any]]) -> None:
    """score.md and score.png in ``folder``."""
    limits = {(r["items"], r["n"]): r["ns_per_pair"] for r in rows if r["method"] == "sgemm"}
    lines = [
        "# Scoring, measured side by side",
        "",
        f"`make bench-score` on {machine}. Width 64 per term; CPU-seconds are those of all processes, medians of alternating runs.",
        "`sgemm` is the bare product of width 128 in cache-sized tiles. Ratios: CPU time per pair over sgemm's; below 1 would be faster.",
        "",
        "| what | users x items | N | method | ns per pair | over sgemm | CPU s | wall s | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        over = r["ns_per_pair"] / limits[r["items"], r["n"]]
        lines.append(
            f"| {r['what']} | {r['users']:,} x {r['items']:,} | {r['n']} | {r['method']} | {r['ns_per_pair']:.2f} | {over:.2f} "
            f"| {r['cpu_s']:.2f} | {r['wall_s']:.2f} | {r['repeats']} |"
        )
    same = [r["agreement"] for r in rows if "agreement" in r]
    lines += ["", f"Positions equal to faiss's float32 ranking: {min(same):.4%} or more." if same else "", ""]
    (folder / "score.md").write_text("\n".join(lines))
    cases = sorted({(r["what"], r["items"], r["n"]) for r in rows})
    figure, axes = plt.subplots(len(cases), 1, figsize=(8, 1.5 * len(cases) + 0.5), layout="constrained", squeeze=False)
    for axis, case in zip(axes[:, 0], cases, strict=True):
        mine = [r for r in rows if (r["what"], r["items"], r["n"]) == case]
        colours = ["#1f6f8b" if r["method"].startswith("recsys") else "#b0b0b0" for r in mine]
        bars = axis.barh([r["method"] for r in mine], [r["ns_per_pair"] for r in mine], color=colours)
        axis.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(f"{case[0]}, {case[1]:,} items, N = {case[2]}", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("CPU ns per user x item pair (less is better)", fontsize=9)
    figure.savefig(folder / "score.png", dpi=110)
    plt.close(figure)
