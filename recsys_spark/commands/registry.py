"""The one list of commands. The usage text and the tests of `submit.sh` and of the documents derive from it."""

from __future__ import annotations

from recsys_spark.commands import compact, demo, encoders, generate, stages, tune, vacuum
from recsys_spark.commands.command import Command

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        *stages.COMMANDS,
        compact.COMMAND,
        vacuum.COMMAND,
        encoders.COMMAND,
        tune.COMMAND,
        generate.COMMAND,
        demo.COMMAND,
    )
}
"""Name -> command: the stages in their order, the pipeline, then what looks after the store, chooses, and shows."""


def usage() -> str:
    """Return the lines of usage: each command with the options that it needs, and what it does."""
    shared = COMMANDS["pipeline"].parser().required()
    lines = [f"stages, each with {shared}:"]
    lines += [_line(command, "") for command in COMMANDS.values() if command.is_stage]
    lines += ["", "commands:"]
    others = [command for command in COMMANDS.values() if not command.is_stage]
    lines += [_line(command, command.parser().required()) for command in others]
    return "\n".join(lines)


def _line(command: Command, needed: str) -> str:
    width = max(len(name) for name in COMMANDS)
    return f"  {command.name:<{width}}  {command.summary}{f' ({needed})' if needed else ''}"
