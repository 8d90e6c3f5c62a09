"""Parses the options of a command. A wrong one is a ConfigError with the five parts of every error of this project."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import NoReturn

from recsys_spark.errors import ConfigError, nearest

Options = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """An argument parser that raises ConfigError instead of ending the process, and that can check values."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, exit_on_error=False)

    def options(self) -> dict[str, bool]:
        """Return each option except `--help`, and whether a value follows it."""
        names = ((name, action) for action in self._actions for name in action.option_strings if len(name) > 2)
        return {name: action.nargs != 0 for name, action in names if name != "--help"}

    def required(self) -> str:
        """Return the options that must be given, as a line of usage: `--config FILE --out FILE`."""
        needed = (action for action in self._actions if action.required)
        return " ".join(f"{action.option_strings[0]} {action.metavar}" for action in needed)

    def add_config(self, text: str) -> None:
        """Add `--config FILE`, which must be given."""
        self.add_argument("--config", required=True, metavar="FILE", help=text)

    def add_count(self, name: str, text: str, default: int, *, least: int | None = 1) -> None:
        """Add an option whose value is a whole number of at least ``least``; None leaves it without a bound."""
        self.add_argument(
            name,
            type=lambda value: whole_number(name, value, least),
            default=default,
            metavar="N",
            help=f"{text} (default: %(default)s)",
        )

    def add_choice(self, name: str, text: str, choices: Sequence[str]) -> None:
        """Add an option whose value is one of ``choices``."""
        shown = "{" + ",".join(choices) + "}"
        self.add_argument(name, type=lambda value: one_of(name, value, choices), metavar=shown, help=text)

    def parse(self, words: Sequence[str]) -> Options:
        """Return the options. Raises ConfigError; `--help` prints the help and raises SystemExit."""
        try:
            options, unknown = self.parse_known_args(words)
        except argparse.ArgumentError as error:
            raise self._wrong_value(error) from error
        if unknown:
            raise self._unknown(unknown)
        return options

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError with the words of argparse: an option is missing, or a short one is not clear."""
        raise ConfigError(
            f"The command line of `{self.prog}` is not complete or not clear",
            where="command line",
            found=message,
            expected=self._usage(),
            action=f"See {self.prog} --help.",
        )

    def _wrong_value(self, error: argparse.ArgumentError) -> ConfigError:
        where = error.argument_name or "command line"
        return ConfigError(
            f"The option {where} cannot be read" if error.argument_name else "The command line is not complete",
            where=where,
            found=error.message,
            expected=self._usage(),
            action=f"See {self.prog} --help.",
        )

    def _unknown(self, unknown: Sequence[str]) -> ConfigError:
        option = unknown[0].partition("=")[0]
        known = self.options()
        close = nearest(option, known)
        return ConfigError(
            f"`{self.prog}` does not take `{option}`",
            where="command line",
            found=" ".join(unknown),
            expected=", ".join(known),
            action=f"Did you mean `{close}`?" if close else f"Remove it; see {self.prog} --help.",
        )

    def _usage(self) -> str:
        return " ".join(self.format_usage().removeprefix("usage: ").split())


def whole_number(option: str, value: str, least: int | None = None) -> int:
    """Return the value of an option as a whole number of at least ``least``. Raises ConfigError.

    >>> whole_number("--users", "20", 1)
    20
    """
    try:
        number = int(value)
    except ValueError:
        number = None
    if number is None or (least is not None and number < least):
        raise ConfigError(
            f"The value of {option} is not a whole number" + ("" if least is None else f" of {least} or more"),
            where=option,
            found=value,
            expected="a whole number" + ("" if least is None else f", {least} or more"),
            action=f"Pass a number such as {option} {max(least or 0, 10)}.",
        )
    return number


def one_of(option: str, value: str, choices: Iterable[str]) -> str:
    """Return the value of an option if it is one of ``choices``. Raises ConfigError."""
    listed = list(choices)
    if value not in listed:
        raise ConfigError(
            f"The value of {option} is not one of its choices",
            where=option,
            found=value,
            expected=", ".join(listed),
            action="Choose one of them.",
        )
    return value
