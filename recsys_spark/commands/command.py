"""What a command is: its name, its line of help, its options, and what it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recsys_spark.commands.options import Options, Parser
from recsys_spark.spark.startup import check_start


@dataclass(frozen=True)
class Command:
    """One command of `recsys-spark`. Its module imports Spark and torch inside functions, so that help is quick."""

    name: str
    summary: str
    """One line of help, which starts with a verb in the third person."""
    add_arguments: Callable[[Parser], None]
    """Adds its options to a parser."""
    run: Callable[[Options], int]
    """Does the work and returns the exit status."""
    has_job: bool = True
    """Whether `submit.sh` runs it through `jobs/NAME.py`; a command for one machine has none."""
    is_stage: bool = False
    """Whether it runs stages: one of them, or the pipeline."""

    def parser(self) -> Parser:
        """Return the parser of its options."""
        parser = Parser(f"recsys-spark {self.name}", f"{self.summary[:1].upper()}{self.summary[1:]}.")
        self.add_arguments(parser)
        return parser

    def main(self, words: Sequence[str]) -> int:
        """Parse the words that follow the command's name, run it and return the exit status. Raises RecsysError.

        Every command needs Spark. What it needs is looked at before the imports, which take seconds.
        """
        options = self.parser().parse(words)
        check_start(os.environ)
        return self.run(options)
