"""The training benchmark's report, from the rows of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.common.ledger import Row, table
from benchmarks.train.results import FULL, GROWTH, ITEMS, LEDGER, PROCESSES, WARM, of


def report(rows: Sequence[Row]) -> str:
    """Markdown: a section for each part that was measured."""
    lines = ["# Training", "", f"`make bench-train` on {LEDGER.measured_on(rows)}.", ""]
    for part, lines_of in SECTIONS.items():
        if mine := of(rows, part):
            lines += lines_of(mine)
    return "\n".join(lines).rstrip() + "\n"


def processes(rows: Sequence[Row]) -> Iterable[str]:
    """One process beside several."""
    head = ["data", "processes", "threads of each", "seconds an epoch", "times one process of one thread", "last loss", "rounds"]  # fmt: skip
    cells = [
        [
            r["dataset"], r["processes"], r["threads"], f"{r['seconds']:.1f}", f"{r['speed']:.2f}", f"{r['loss']:.3f}",
            r["rounds"],
        ]
        for r in rows
    ]  # fmt: skip
    return ["## Several processes on the same cores", "", *table(head, cells)]


def full(rows: Sequence[Row]) -> Iterable[str]:
    """The whole training beside its target."""
    head = ["data", "users", "behaviours", "items", "threads", "epochs of trial and final run", "minutes", "at most", "", "peak GB"]  # fmt: skip
    cells = [
        [
            r["dataset"], f"{r['users']:,}", f"{r['behaviours']:,}", f"{r['items']:,}", r["threads"],
            f"{r['trial_epochs']} + {r['epochs']}", f"{r['seconds'] / 60:.1f}", *target(r), f"{r['peak_bytes'] / 1e9:.2f}",
        ]
        for r in rows
    ]  # fmt: skip
    note = "Trial and final run with the default settings in a fresh process. Time begins where data are read; memory is all that the process held."
    return ["## The whole training", "", note, "", *table(head, cells)]


def target(row: Row) -> tuple[str, str]:
    """What was aimed at, and whether it was reached.

    >>> target({"seconds": 250.0, "target_minutes": 4.0}), target({"seconds": 250.0, "target_minutes": None})
    (('4', '**missed**'), ('', ''))
    """
    minutes = row["target_minutes"]
    if minutes is None:
        return "", ""
    return f"{minutes:g}", "met" if row["seconds"] <= 60 * minutes else "**missed**"


def growth(rows: Sequence[Row]) -> Iterable[str]:
    """More users over one catalogue."""
    head = ["data", "users", "behaviours", "items chosen by them", "threads", "seconds an epoch", "seconds per 100,000 behaviours"]  # fmt: skip
    cells = [
        [
            r["dataset"], f"{r['users']:,} ({r['share']:.0%})", f"{r['behaviours']:,}", f"{r['warm_items']:,}",
            r["threads"], f"{r['seconds']:.2f}", f"{r['seconds_per_100k']:.2f}",
        ]
        for r in rows
    ]  # fmt: skip
    note = "Users by the hash of their id, over one catalogue. The softmax is over the items that these users chose."
    return ["## Growth with users", "", note, "", *table(head, cells)]


def warm(rows: Sequence[Row]) -> Iterable[str]:
    """From the model of the night before."""
    head = ["data", "behaviours", "of them new", "start", "passes", "seconds", "recall@10", "ndcg@10", "ndcg over scratch, and its standard error"]  # fmt: skip
    cells = [
        [
            r["dataset"], f"{r['behaviours']:,}", f"{r['new_behaviours']:,}", r["start"], r["epochs"] or "",
            f"{r['seconds']:.0f}" if r["epochs"] else "", f"{r['recall']:.4f}", f"{r['ndcg']:.4f}",
            f"{r['difference']:+.4f} ± {r['error']:.4f}" if "error" in r else "",
        ]
        for r in rows
    ]  # fmt: skip
    note = (
        "The newest slice is held out, and the lists are asked for it. New is the newest fiftieth of the rest, which yesterday's "
        "model has not seen. From scratch with a trial, from yesterday's model without one."
    )
    return ["## From the model of the night before", "", note, "", *table(head, cells)]


def items(rows: Sequence[Row]) -> Iterable[str]:
    """A large catalogue."""
    head = ["items", "chosen", "behaviours", "softmax", "threads", "seconds before the first step", "seconds a step", "CPU-seconds a step", "steps", "GB of data", "peak GB", "bytes per item"]  # fmt: skip
    cells = [
        [
            f"{r['items']:,}", f"{r['warm_items']:,}", f"{r['behaviours']:,}", "sampled" if r["sampled"] else "whole",
            r["threads"], f"{r['prepared_seconds']:.0f}", f"{r['seconds_per_step']:.3f}", f"{r['cpu_seconds_per_step']:.3f}",
            f"{r['steps']:,} of {r['of_steps']:,}", f"{(r['drawn_bytes'] - r['loaded_bytes']) / 1e9:.2f}",
            f"{r['peak_bytes'] / 1e9:.2f}", f"{r['bytes_per_item']:,.0f}",
        ]
        for r in rows
    ]  # fmt: skip
    links = max(r["linked_items"] for r in rows)
    note = (
        "Made-up items around centres in text space, ten behaviours for every ten items. One epoch without a trial, or the "
        "first steps of it. Bytes per item are the peak without what the libraries take; links, which do not grow with the "
        f"catalogue, are {4 * links**2 / 1e9:.1f} GB of it where {links:,} items have some."
    )
    return ["## A catalogue of many items", "", note, "", *table(head, cells)]


SECTIONS: Mapping[str, Callable[[Sequence[Row]], Iterable[str]]] = {
    PROCESSES: processes,
    FULL: full,
    GROWTH: growth,
    WARM: warm,
    ITEMS: items,
}
