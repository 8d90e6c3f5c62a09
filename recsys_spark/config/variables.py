"""Environment variables in the configuration: `${NAME}` in any string stands for the variable's value."""

from __future__ import annotations

import os
import re

from recsys_spark.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_NOT_REPLACED = re.compile(r"\$(?!\{\w+\})(?:\{[^}]*\}?|\(|[A-Za-z_]\w*)|^%[A-Za-z_]\w+%")
"""What people write for a variable of a shell, and nobody replaces: `$HOME`, `${HOME:-/x}`, `$(pwd)`, `%HOME%`."""


def with_variables(text: str, *, where: str) -> str:
    """Return the text with each `${NAME}` replaced. Raises ConfigError where the variable is not set."""

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(
                f"The environment variable {match[1]} is not set",
                where=where,
                found=text,
                expected=f"a value for {match[1]} on the machine where the driver runs",
                action=f"export {match[1]}=FOLDER",
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(value_of, text)


def is_one_variable(text: str) -> bool:
    """Return whether the text is `${NAME}` and nothing else."""
    return _VARIABLE.fullmatch(text) is not None


def check_variables(text: str, *, key: str, where: str) -> None:
    """Raise ConfigError where a variable of an address is empty, or is written in a way that nobody replaces."""
    empty = [name for name in _VARIABLE.findall(text) if os.environ.get(name) == ""]
    if empty:
        raise ConfigError(
            f"The environment variable {empty[0]} is empty, and `{key}` needs it",
            where=where,
            found=text,
            expected=f"a value for {empty[0]} on the machine where the driver runs",
            action=f"export {empty[0]}=FOLDER",
        )
    if found := _NOT_REPLACED.search(text):
        name = re.search(r"[A-Za-z_]\w*", found[0])
        raise ConfigError(
            f"`{key}` has a variable that is not replaced",
            where=where,
            found=text,
            expected="${NAME}, where NAME is an environment variable",
            action=f"Write ${{{name[0]}}} for {found[0]}." if name else f"Remove {found[0]}.",
        )
