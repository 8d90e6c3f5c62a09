"""Shows how far a stage is: a bar on the driver's terminal or a log line now and then, and a summary at the end.

Spark adds the counts of a task when the task ends. A task that runs twice may count twice, so a share is cut at 100%.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from pyspark.accumulators import Accumulator, AccumulatorParam
from pyspark.sql import SparkSession
from tqdm import tqdm

log = logging.getLogger("recsys_spark")

LOG_SECONDS, BAR_SECONDS = 30.0, 0.5
ROWS, UNITS, SLOTS, ON = "rows", "units", "slots", "on "
"""Keys of what tasks count: rows, units of work in them, units with padding, and rows by device (``ON + device``)."""


class Sums(AccumulatorParam[dict[str, int]]):
    """Numbers by name."""

    def zero(self, value: dict[str, int]) -> dict[str, int]:
        """Return no numbers."""
        return {}

    def addInPlace(self, value1: dict[str, int], value2: dict[str, int]) -> dict[str, int]:  # noqa: N802
        """Return the sums by name in a new dictionary: another thread reads the earlier one."""
        return {name: value1.get(name, 0) + value2.get(name, 0) for name in {**value1, **value2}}


Counts = Accumulator[dict[str, int]]


@contextmanager
def progress(
    spark: SparkSession,
    label: str,
    n_rows: int,
    *,
    rows: str,
    units: str,
    stream: TextIO | None = None,
    log_seconds: float = LOG_SECONDS,
) -> Iterator[Counts]:
    """Show how much of ``n_rows`` is done while the block runs, and log a summary if it ends without an error.

    Gives the accumulator to which tasks add counts by the keys above. ``rows`` and ``units`` are their names in
    messages. A bar is drawn if ``stream`` (default: standard error) is a terminal.
    """
    counts: Counts = spark.sparkContext.accumulator({}, Sums())
    started, ended, on = time.monotonic(), threading.Event(), stream or sys.stderr

    def seconds() -> float:
        return max(time.monotonic() - started, 1e-9)

    def write_lines() -> None:
        while not ended.wait(log_seconds):
            log.info("%s", so_far(label, n_rows, rows, units, counts.value, seconds()))

    def draw_bar() -> None:
        with tqdm(total=n_rows, desc=label, unit=f" {rows}", file=on, dynamic_ncols=True, leave=False) as bar:
            last = False
            while not last:
                last = ended.wait(BAR_SECONDS)
                bar.n = min(counts.value.get(ROWS, 0), n_rows)
                bar.set_postfix_str(f"{counts.value.get(UNITS, 0) / seconds():,.0f} {units}/s")

    target = draw_bar if on.isatty() else write_lines
    thread = threading.Thread(target=target, name=f"progress of {label}", daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        ended.set()
        thread.join()
    log.info("%s", summary(label, rows, units, counts.value, seconds()))


def so_far(label: str, n_rows: int, rows: str, units: str, counts: Mapping[str, int], seconds: float) -> str:
    """Return what is done and how long the rest may take at the same pace, including the loading of the model.

    >>> so_far("embed", 2000, "texts", "tokens", {"rows": 500, "units": 9000}, 60.0)
    'embed: 500 of 2,000 texts (25%), 150 tokens/s, about 3 min left'
    """
    done = min(counts.get(ROWS, 0), n_rows)
    share = done / max(n_rows, 1)
    left = (
        "time left known when a first task has ended"
        if not done
        else f"about {in_words(seconds * (1 - share) / share)} left"
    )
    return (
        f"{label}: {done:,} of {n_rows:,} {rows} ({share:.0%}), {counts.get(UNITS, 0) / seconds:,.0f} {units}/s, {left}"
    )


def summary(label: str, rows: str, units: str, counts: Mapping[str, int], seconds: float) -> str:
    """Return what was done, on which device and at which pace.

    >>> summary("embed", "texts", "tokens", {"rows": 2000, "units": 36000, "slots": 40000, "on cpu": 2000}, 240.0)
    'embed: 2,000 texts of 36,000 tokens in 4 min, 150 tokens/s, 10% padding, on cpu'
    """
    n_units, n_slots = counts.get(UNITS, 0), counts.get(SLOTS, 0)
    padding = f", {1 - n_units / n_slots:.0%} padding" if n_slots else ""
    devices = ", ".join(sorted(name.removeprefix(ON) for name in counts if name.startswith(ON)))
    return (
        f"{label}: {counts.get(ROWS, 0):,} {rows} of {n_units:,} {units} in {in_words(seconds)}, "
        f"{n_units / seconds:,.0f} {units}/s{padding}{', on ' + devices if devices else ''}"
    )


def in_words(seconds: float) -> str:
    """Return a length of time in words.

    >>> in_words(0.34), in_words(42), in_words(240), in_words(7_300)
    ('0.3 s', '42 s', '4 min', '2.0 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
