"""Says what a stage is: its name, what it depends on, and its step. The module of a stage exports one as ``STAGE``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsys_spark.steps.context import Context, Facts
from recsys_spark.store.areas import Attempt


@dataclass(frozen=True)
class OwnInput:
    """An input of a stage that is neither a setting nor an earlier stage's result, such as the files of the sources.

    Its value is part of the stage's key and becomes a fact of the stage's manifest. Later stages use the recorded
    value, so that files which arrive during a run do not stop it half-way.
    """

    fact: str
    """Name of the fact in the manifest."""
    now: Callable[[Context], Any]
    """Returns the value at this moment."""
    check: Callable[[Context, Any], None] = lambda _ctx, _value: None
    """Raises RecsysError where the stage cannot run with the value; called just before the stage runs."""


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline."""

    name: str
    after: tuple[str, ...]
    """Names of the stages whose results it reads."""
    settings: tuple[str, ...]
    """Dotted configuration keys that the step reads; a change of one of them runs the stage again."""
    step: Callable[[Context, Attempt], Facts]
    """Reads the inputs, writes the tables of an attempt and returns the facts of the manifest."""
    own_input: OwnInput | None = None
    still_there: Callable[[Context], bool] = lambda _ctx: True
    """Returns whether everything that the finished stage wrote outside its own folder still exists."""

    def own_facts(self, ctx: Context) -> Mapping[str, Any]:
        """Return the fact of the stage's own input as it is now; empty for a stage without one."""
        return {self.own_input.fact: self.own_input.now(ctx)} if self.own_input else {}
