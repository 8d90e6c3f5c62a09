"""The base of every benchmark: what its command line runs, keeps and writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import suite
from benchmarks.common.ledger import Row
from benchmarks.common.suite import Benchmark, Part, Plan
from benchmarks.common.tables import Section, shown


@dataclass
class Recorded:
    """Parts that write down what they are told."""

    plans: list[Plan] = field(default_factory=list)

    def measure(self, plan: Plan) -> Iterator[list[Row]]:
        self.plans.append(plan)
        yield [{"n": 1}]
        yield [{"n": 2}]


def benchmark(recorded: Recorded, **more: Any) -> Benchmark:
    columns = {"figure": shown("n")}
    parts = tuple(Part(name, f"the {name}", recorded.measure, Section(name, columns)) for name in ("first", "second"))
    return Benchmark("made_up", "A benchmark", parts, **more)


def test_one_part_is_measured_here_and_its_rows_and_report_are_written(tmp_path: Path) -> None:
    recorded = Recorded()
    drawn: list[int] = []
    made = benchmark(recorded, lead=lambda rows: "All is well.", draw=lambda folder, rows: drawn.append(len(rows)))
    made.main(["--parts", "second", "--cores", "3", "--results", str(tmp_path)])
    assert recorded.plans == [Plan(cores=3)]
    assert [(row["part"], row["n"]) for row in made.ledger.load(tmp_path)] == [("second", 1), ("second", 2)]
    text = (tmp_path / "made_up.md").read_text()
    assert text.startswith("# A benchmark\n\n`make bench-made_up` on ")
    assert "All is well." in text
    assert text.endswith("## second\n\n| figure |\n|---|\n| 1 |\n| 2 |\n")
    assert "- not measured: first; `make bench-made_up PARTS=first` does it" in text
    # A batch that is there is kept before the next one is measured.
    assert drawn == [1, 2]


def test_rows_that_were_measured_before_a_failure_are_kept(tmp_path: Path) -> None:
    def fails(_: Plan) -> Iterator[list[Row]]:
        yield [{"n": 1}]
        raise RuntimeError("cut short")

    made = Benchmark("made_up", "A benchmark", (Part("only", "it", fails, Section("only", {"figure": shown("n")})),))
    with pytest.raises(RuntimeError, match="cut short"):
        made.main(["--results", str(tmp_path)])
    assert "| 1 |" in (tmp_path / "made_up.md").read_text()


def test_several_parts_run_in_a_process_each_with_the_same_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, commands = Recorded(), []
    monkeypatch.setattr(suite.subprocess, "run", lambda command, check: commands.append((command[2:], check)))
    benchmark(recorded).main(["--tiny"])
    told = ["benchmarks.made_up", "--tiny", "--parts"]
    assert commands == [([*told, "first"], True), ([*told, "second"], True)]
    assert not recorded.plans


def test_a_tiny_run_does_not_overwrite_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = Recorded()
    benchmark(recorded).main(["--tiny", "--parts", "first"])
    assert recorded.plans == [Plan(tiny=True)]
    assert (tmp_path / "build" / "made_up-tiny" / "made_up.json").exists()


def test_the_report_is_written_from_stored_rows_without_measuring(tmp_path: Path) -> None:
    recorded = Recorded()
    made = benchmark(recorded)
    made.main(["--parts", "first", "--results", str(tmp_path)])
    before = (tmp_path / "made_up.md").read_text()
    (tmp_path / "made_up.md").unlink()
    made.main(["--report", "--results", str(tmp_path)])
    assert (tmp_path / "made_up.md").read_text() == before
    assert len(recorded.plans) == 1


def test_parts_that_nobody_knows_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark(Recorded()).main(["--parts", "first,third"])
    assert "--parts: third not among first, second" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["score", "encode", "train"])
def test_every_benchmark_says_what_its_parts_measure(name: str) -> None:
    from importlib import import_module

    module = import_module(f"benchmarks.{name}.__main__")
    made: Benchmark = getattr(module, name.upper())
    assert made.name == name
    for part in made.parts:
        assert f"- {part.name}: " in str(module.__doc__)
        assert part.measures
