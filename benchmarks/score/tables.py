"""The tables of the scoring benchmark's parts, as lines of Markdown made from rows; a part without rows has no lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.common.ledger import Row, table
from benchmarks.score.growth import ITEMS, USERS, marginal_deviation, spread
from benchmarks.score.results import part_of

MIB = 2**20


def of(rows: Sequence[Row], *parts: str) -> list[Row]:
    """The rows of some parts."""
    return [row for row in rows if part_of(row) in parts]


def size(row: Row) -> str:
    """Users x items.

    >>> size({"users": 2_000, "items": 10})
    '2,000 x 10'
    """
    return f"{row['users']:,} x {row['items']:,}"


def ours_at_20k(rows: Sequence[Row]) -> float | None:
    """The stage's ns per pair at 20,000 x 20,000, N = 10, where it was measured."""
    found = [r for r in of(rows, "stage") if (r["users"], r["items"], r["n"]) == (20_000, 20_000, 10)]
    return next((float(r["ns_per_pair"]) for r in found if r["method"] == "recsys-spark"), None)


def limits(rows: Sequence[Row]) -> list[str]:
    """Kernel and stage beside sgemm and their rivals."""
    shown = of(rows, "kernel", "stage")
    if not shown:
        return []
    sgemm = {(r["items"], r["n"]): r["ns_per_pair"] for r in shown if r["method"] == "sgemm"}

    def over(row: Row) -> str:
        limit = sgemm.get((row["items"], row["n"]))
        return f"{row['ns_per_pair'] / limit:.2f}" if limit else ""

    head = ["what", "users x items", "N", "method", "ns per pair", "over sgemm", "CPU s", "wall s", "runs"]
    cells = [
        [
            r["what"], size(r), r["n"], r["method"], f"{r['ns_per_pair']:.2f}", over(r), f"{r['cpu_s']:.2f}",
            f"{r['wall_s']:.2f}", r["repeats"],
        ]
        for r in shown
    ]  # fmt: skip
    same = [r["agreement"] for r in shown if "agreement" in r]
    note = [f"Positions equal to faiss's float32 ranking: {min(same):.4%} or more.", ""] if same else []
    return [
        "`sgemm` is the bare product of width 128 in cache-sized tiles. Ratios: CPU time per pair over sgemm's; below 1 would be faster.",
        "",
        *table(head, cells),
        *note,
    ]


def joins(rows: Sequence[Row]) -> list[str]:
    """Spark's own joins beside the stage."""
    shown = of(rows, "joins")
    here = next((r["ns_per_pair"] for r in shown if r["method"] == "recsys-spark"), None)
    if here is None:
        return []
    there = ours_at_20k(rows)
    head = [
        "users x items",
        "N",
        "method",
        "ns per pair",
        "M pairs per CPU-s",
        "over ours",
        "over ours at 20,000 x 20,000",
    ]
    cells = [
        [
            size(r), r["n"], r["method"], f"{r['ns_per_pair']:,.1f}", f"{1e3 / r['ns_per_pair']:.2f}",
            f"{r['ns_per_pair'] / here:,.1f}", f"{r['ns_per_pair'] / there:,.0f}" if there else "not measured",
        ]
        for r in shown
    ]  # fmt: skip
    return [
        "## Beside Spark's own joins",
        "",
        "The joins compute the cosine alone; the stage computes cosine, logit and log Z. At this size the stage is almost all fixed cost.",
        "",
        *table(head, cells),
    ]


def growth(rows: Sequence[Row]) -> list[str]:
    """Time against users and against items, and how straight the lines are."""
    shown = of(rows, "growth")
    if not shown:
        return []
    head = ["what", "users x items", "ns per pair", "CPU s", "wall s", "runs"]
    cells = [
        [r["growth"], size(r), f"{r['ns_per_pair']:.2f}", f"{r['cpu_s']:.2f}", f"{r['wall_s']:.2f}", r["repeats"]]
        for r in shown
    ]
    lines = ["## Growth", "", *table(head, cells)]
    for what, count in ((USERS, "users"), (ITEMS, "items")):
        mine = [r for r in shown if r["growth"] == what]
        if len(mine) < 2:
            continue
        apart = f"ns per pair are {spread([r['ns_per_pair'] for r in mine]):.0%} apart (largest over smallest, less 1)"
        if what == USERS:
            off = marginal_deviation([r[count] for r in mine], [r["cpu_s"] for r in mine])
            apart += f"; the cost of one more user is within {off:.0%} of the slope of CPU seconds = a + b x users"
        lines.append(f"- {what}, {mine[0][count]:,} to {mine[-1][count]:,}: {apart}.")
    return [*lines, ""]


def cores(rows: Sequence[Row]) -> list[str]:
    """One core beside two."""
    shown = of(rows, "cores")
    if not shown:
        return []
    head = ["users x items", "master", "wall s", "times as fast", "CPU s", "runs"]
    cells = [
        [
            size(r), r["method"], f"{r['wall_s']:.2f}", f"{shown[0]['wall_s'] / r['wall_s']:.2f}", f"{r['cpu_s']:.2f}",
            r["repeats"],
        ]
        for r in shown
    ]  # fmt: skip
    return ["## Cores", "", *table(head, cells)]


def memory(rows: Sequence[Row]) -> list[str]:
    """Peaks of the Python workers."""
    shown = of(rows, "memory")
    if not shown:
        return []
    names = ("block_bytes", "allowed", "peak_rss", "peak_pss", "peak_uss", "peak_total_pss")
    head = [
        "what", "users x items", "item blocks", "MiB a block", "allowed", "RSS", "PSS", "USS", "PSS of all workers",
    ]  # fmt: skip
    cells = [[r["method"], size(r), r["n_blocks"], *(f"{r[name] / MIB:.0f}" for name in names)] for r in shown]
    lines = [
        "## Memory of Python workers",
        "",
        "Peaks in MiB of the largest worker, and of all workers together. RSS has all pages that a process maps, PSS its share of those that",
        "several map (libraries), USS none of these. Allowed: one item block and 256 MiB. The code alone takes what the first row says.",
        "",
        *table(head, cells),
    ]
    for row in shown:
        if "same_lists" in row:
            same = "the same lists" if row["same_lists"] else "OTHER LISTS"
            lines += [
                f"{row['n_blocks']} blocks give {same} as one; scores differ by {row['score_difference']:.1e} at most.",
                "",
            ]
    return lines


def broadcast(rows: Sequence[Row]) -> list[str]:
    """Item blocks joined by broadcast beside item blocks in a mapped file."""
    shown = of(rows, "broadcast")
    if not shown:
        return []
    head = ["users x items", "item blocks", "CPU s", "ns per pair", "wall s", "MiB of workers (PSS, all)", "runs"]
    cells = [
        [
            size(r), r["method"].split(", ", 1)[1], f"{r['cpu_s']:.2f}", f"{r['ns_per_pair']:.2f}", f"{r['wall_s']:.2f}",
            f"{r['total_pss'] / MIB:.0f}", r["repeats"],
        ]
        for r in shown
    ]  # fmt: skip
    same = all(r["same_lists"] for r in shown)
    note = f"Both give {'the same lists' if same else 'DIFFERENT LISTS'}."
    return ["## How item blocks reach the workers", "", *table(head, cells), note, ""]


TABLES: tuple[Callable[[Sequence[Row]], list[str]], ...] = (limits, joins, growth, cores, memory, broadcast)
