"""What is shown while a stage runs: a bar on a terminal, lines elsewhere, a summary at the end."""

from __future__ import annotations

import io
import threading

import pytest
from pyspark.sql import SparkSession

from recsys_spark.spark import progress as module
from recsys_spark.spark.progress import ON, ROWS, SLOTS, UNITS, progress


class Screen(io.StringIO):
    """A stream that is a terminal or is none, and says when something with ``awaited`` has been written."""

    def __init__(self, terminal: bool, awaited: str = "") -> None:
        super().__init__()
        self.terminal, self.awaited, self.seen = terminal, awaited, threading.Event()

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.awaited and self.awaited in self.getvalue():
            self.seen.set()
        return written


def counted(spark: SparkSession, screen: Screen, seen: threading.Event, log_seconds: float = 0.02) -> None:
    """A stage of 200 rows that waits, half-way through, until that was shown."""
    with progress(spark, "embed", 200, rows="texts", units="tokens", stream=screen, log_seconds=log_seconds) as counts:
        half = {ROWS: 50, UNITS: 600, SLOTS: 750, ON + "cpu": 50}
        spark.sparkContext.parallelize(range(2), 2).foreach(lambda _: counts.add(half))
        assert seen.wait(20), "nothing was shown"


def test_a_terminal_gets_a_bar_with_share_and_rate(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BAR_SECONDS", 0.02)
    screen = Screen(True, awaited="100/200")
    counted(spark, screen, screen.seen)
    assert "embed:  50%" in screen.getvalue()
    assert "tokens/s" in screen.getvalue()


def test_elsewhere_lines_are_logged_with_the_time_left_and_the_stream_stays_clean(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, shown = list[str](), threading.Event()

    def note(form: str, *values: object) -> None:
        lines.append(form % values)
        if "100 of 200" in lines[-1]:
            shown.set()

    monkeypatch.setattr(module.log, "info", note)
    screen = Screen(False)
    counted(spark, screen, shown)
    assert any("(50%)" in line and "tokens/s" in line and line.endswith("left") for line in lines[:-1])
    assert lines[-1].startswith("embed: 100 texts of 1,200 tokens in ")
    assert lines[-1].endswith("20% padding, on cpu")
    assert screen.getvalue() == ""


def test_a_stage_that_fails_sums_nothing_up(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list[str]()
    monkeypatch.setattr(module.log, "info", lambda form, *values: lines.append(form % values))
    with (
        pytest.raises(ValueError, match="broken"),
        progress(spark, "embed", 2, rows="texts", units="tokens", stream=Screen(False)),
    ):
        raise ValueError("broken")
    assert not lines
    assert not [thread for thread in threading.enumerate() if thread.name == "progress of embed"]


def test_lines_come_every_thirty_seconds() -> None:
    assert module.LOG_SECONDS == 30
