"""Turns of processes: one at a time, but nobody waits for a dead one, for ever, or without a place."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

from recsys_spark.numerics.turns import turn

HOLD = """
import sys, time
from pathlib import Path
from recsys_spark.numerics.turns import turn
with turn(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def seconds(file: Path, patience: float = 60.0) -> float:
    """How long the next turn is waited for."""
    start = time.monotonic()
    with turn(file, patience):
        return time.monotonic() - start


def test_the_next_turn_begins_when_the_last_one_ends(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with turn(tmp_path / "lock"):
            order.append("second")

    with turn(tmp_path / "lock"):
        waiting = Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_turns_of_other_files_do_not_wait(tmp_path: Path) -> None:
    with turn(tmp_path / "lock"):
        assert seconds(tmp_path / "other") < 5


def test_a_killed_process_holds_up_nobody(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        assert seconds(file, 0.1) >= 0.1
        holder.kill()
        holder.wait()
        assert seconds(file) < 5


def test_patience_ends(tmp_path: Path) -> None:
    with turn(tmp_path / "lock"):
        assert 0.1 <= seconds(tmp_path / "lock", 0.1) < 5


def test_without_a_place_nobody_waits(tmp_path: Path) -> None:
    with turn(tmp_path / "missing" / "lock"):
        assert seconds(tmp_path / "missing" / "lock") < 5
