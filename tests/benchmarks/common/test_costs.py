"""CPU time of processes that have ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.common.costs import Cost, alternate, tree_cpu

# Burns time in a child that is not added to its parent's children when it ends, like idle workers of Spark's daemon.
FORGETFUL = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    while time.process_time() < 0.3:
        pass
    print("burnt", flush=True)
    sys.stdin.readline()
    os._exit(0)
try:
    os.wait()
except ChildProcessError:
    print("gone", flush=True)
sys.stdin.readline()
"""


def test_cpu_time_of_a_process_that_has_ended_still_counts() -> None:
    pytest.importorskip("psutil")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", FORGETFUL], stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = tree_cpu()
        assert child.stdout.readline() == "burnt\n"
        while_there = tree_cpu()
        assert while_there > before + 0.2
        child.stdin.write("\n")
        assert child.stdout.readline() == "gone\n"
        assert tree_cpu() >= while_there
        child.stdin.write("\n")


def test_runs_take_turns_after_they_have_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.common.costs.tree_cpu", lambda: 1.0)
    order: list[str] = []
    costs = alternate({name: lambda name=name: order.append(name) for name in "ab"}, repeats=2, warm_up=1)
    assert order == ["a", "b"] * 3
    assert {name: [cost.cpu for cost in taken] for name, taken in costs.items()} == {"a": [0.0, 0.0], "b": [0.0, 0.0]}
    assert isinstance(costs["a"][0], Cost)
