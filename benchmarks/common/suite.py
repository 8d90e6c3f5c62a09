"""One base for every benchmark: its parts, its command line, the rows it keeps and the report it writes.

To add a part, write a file with `measure(plan)` and a `PART`, and name it in the folder's `__main__.py`.
To add a benchmark, write a folder with its parts and a `__main__.py` that makes a `Benchmark` and calls its `main`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.ledger import RESULTS, Ledger, Row, measured_on, of
from benchmarks.common.tables import Section


def say(line: str) -> None:
    """Print what goes on, at once."""
    print(line, flush=True)


@dataclass(frozen=True)
class Plan:
    """How much is measured, and on how many cores; a benchmark with options of its own extends it."""

    cores: int = 2
    tiny: bool = False

    @property
    def by(self) -> str | None:
        """The key whose measured values alone are replaced, as in :meth:`Ledger.merged`."""
        return None

    def times(self, usual: int) -> int:
        """Return how often something is repeated: once if tiny."""
        return 1 if self.tiny else usual


@dataclass(frozen=True)
class Part:
    """One part of a benchmark: one file that measures, and the section of the report that shows its rows."""

    name: str
    measures: str
    """What it measures, in a few words"""
    measure: Callable[[Any], Iterable[list[Row]]]
    """From the plan to rows in batches; each batch is kept as soon as it is there"""
    section: Section


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of several parts: `make bench-NAME` writes NAME.json, NAME.md and, with ``draw``, charts."""

    name: str
    title: str
    parts: tuple[Part, ...]
    lead: Callable[[Sequence[Row]], str] = lambda _: ""
    """The first paragraph of the report, after the machine"""
    draw: Callable[[Path, Sequence[Row]], None] = _nothing
    """Draws charts into a folder"""
    options: Callable[[argparse.ArgumentParser], None] = _nothing
    """Adds arguments of its own"""
    plan: Callable[[argparse.ArgumentParser, argparse.Namespace], Plan] = lambda _, found: Plan(found.cores, found.tiny)
    """Reads the arguments; refuses wrong ones by `parser.error`"""

    @property
    def ledger(self) -> Ledger:
        """Where its rows are kept."""
        return Ledger(self.name, tuple(part.name for part in self.parts))

    def report(self, rows: Sequence[Row]) -> str:
        """Return Markdown: a section for each part that has rows, and a line for each part that has none."""
        missing = [part.name for part in self.parts if not of(rows, part.name)]
        lines = [f"- not measured: {name}; `make bench-{self.name} PARTS={name}` does it" for name in missing]
        lines += [""] if missing else []
        for part in self.parts:
            lines += part.section.lines(of(rows, part.name), rows)
        return document(self.name, self.title, rows, self.lead(rows), lines)

    def write(self, folder: Path, rows: Sequence[Row]) -> None:
        """Write the report and the charts."""
        (folder / f"{self.name}.md").write_text(self.report(rows))
        self.draw(folder, rows)

    def run(self, part: Part, plan: Plan, folder: Path) -> None:
        """Measure a part, keep its rows batch by batch, and write the report after each."""
        measured: list[Row] = []
        for rows in part.measure(plan):
            measured += rows
            # A part that takes an hour and is cut short has not measured for nothing.
            self.write(folder, self.ledger.save(folder, part.name, measured, plan.by))
        say(f"wrote {len(measured)} rows of {part.name} to {folder}")

    def main(self, argv: Sequence[str] | None = None) -> None:
        """Run the parts that are asked for; several parts run in a process each."""
        arguments_given = list(sys.argv[1:] if argv is None else argv)
        parser = command_line(self.name, f"{self.title}. Parts:\n" + "\n".join(map(_line, self.parts)))
        known = {part.name: part for part in self.parts}
        parser.add_argument("--parts", type=names, default=list(known), help="some of the parts, by default all")
        self.options(parser)
        arguments = parser.parse_args(arguments_given)
        check_known(parser, "parts", arguments.parts, known)
        plan, folder = self.plan(parser, arguments), folder_of(self.name, arguments)
        if arguments.report:
            self.write(folder, self.ledger.load(folder))
        elif len(arguments.parts) == 1:
            self.run(known[arguments.parts[0]], plan, folder)
        else:
            for name in arguments.parts:
                say(f"==> {name}")
                # The last --parts counts.
                command = [sys.executable, "-m", f"benchmarks.{self.name}", *arguments_given, "--parts", name]
                subprocess.run(command, check=True)


def _line(part: Part) -> str:
    return f"  {part.name}: {part.measures}"


def document(name: str, title: str, rows: Sequence[Row], lead: str, lines: Sequence[str]) -> str:
    """Return the whole report: title, machine, ``lead``, then ``lines``."""
    first = f"`make bench-{name}` on {measured_on(rows)}. {lead}".rstrip()
    return "\n".join([f"# {title}", "", first, "", *lines]).rstrip() + "\n"


def command_line(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that every benchmark understands."""
    made = argparse.ArgumentParser(
        f"benchmarks.{name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--tiny", action="store_true", help=f"sizes that only show that it runs; results go to {_tiny_results(name)}"
    )
    made.add_argument("--cores", type=int, default=2)
    made.add_argument(
        "--results", type=Path, help=f"folder of {name}.json, .md and charts; by default benchmarks/{RESULTS.name}"
    )
    made.add_argument("--report", action="store_true", help="measure nothing; write the report from the stored rows")
    return made


def folder_of(name: str, arguments: argparse.Namespace) -> Path:
    """Return where results go; those of a tiny run never overwrite figures."""
    return Path(arguments.results or (_tiny_results(name) if arguments.tiny else RESULTS))


def _tiny_results(name: str) -> Path:
    return Path("build") / f"{name}-tiny"


def names(text: str) -> list[str]:
    """Return the names of a list on the command line.

    >>> names("titles,long profiles")
    ['titles', 'long profiles']
    """
    return list(filter(None, text.split(",")))


def check_known(parser: argparse.ArgumentParser, option: str, asked: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are not known, before anything is measured."""
    if unknown := set(asked) - set(known):
        parser.error(f"--{option}: {', '.join(sorted(unknown))} not among {', '.join(known)}")
