"""The command line: finds the command and runs it. jobs/*.py and `recsys-spark` both end here."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence

from recsys_spark import __version__
from recsys_spark.commands.registry import COMMANDS, usage
from recsys_spark.errors import ConfigError, RecsysError, nearest
from recsys_spark.spark.launch import driver_started
from recsys_spark.spark.startup import leave_folder

USAGE = """recsys-spark {version}: gives every user N items, from text and behaviours, on Spark

usage: recsys-spark COMMAND [options]

{commands}

`recsys-spark COMMAND --help` lists all options of a command. On a cluster use ./submit.sh with the same words.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 only if it did all it should; errors.py has the others."""
    driver_started(os.environ)
    leave_folder(os.environ)
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in words
    words = [word for word in words if word != "--verbose"]
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("recsys_spark").setLevel(logging.INFO)
    try:
        return _run(words)
    except RecsysError as error:
        if verbose:
            traceback.print_exc()
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE.format(version=__version__, commands=usage()))
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    command, rest = words[0], words[1:]
    if command not in COMMANDS:
        close = nearest(command, COMMANDS)
        raise ConfigError(
            f"The command `{command}` does not exist",
            where="command line",
            found=command,
            expected=", ".join(COMMANDS),
            action=f"Did you mean `{close}`?" if close else "See recsys-spark --help.",
        )
    return COMMANDS[command].main(rest)
