"""A configuration that says which of its keys are read, and the check that a step reads only the keys it declares."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType, MethodType
from typing import Any, cast

import pytest
from pydantic import BaseModel

from recsys_spark import pipeline
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import Stage
from recsys_spark.store.areas import Attempt

EXEMPT = {
    "run.store": "where results are kept, and not what they are",
    "spark": "how the session computes, and not what",
}
"""Keys that every step may read, with the reason why no result depends on them."""
ONLY_CHECKED = {
    ("ingest", "run.top_n"): "score checks it again, and a longer list is no reason to read the sources again",
}
"""Keys of one stage that decide whether it runs at all, and nothing that it writes, with the reason."""
WHOLE = "the whole configuration"
DUMPS = ("model_dump", "model_dump_json", "__iter__")
NAMES_ONLY = ("fingerprint",)
"""Methods that do not count as a read: a fingerprint only names the configuration in a manifest."""

Reads = Callable[[str], None]


class UndeclaredSetting(AssertionError):
    """A step read a key that its stage does not declare."""


class Recorded:
    """A section, or the whole configuration, that calls ``read`` with the dotted key of every value that is read.

    A dump of a section is a read of the whole section, and so is its way into a worker, where it arrives as a plain
    section that records nothing.
    """

    def __init__(self, plain: BaseModel, read: Reads, key: str = "") -> None:
        self._plain, self._read, self._key = plain, read, key

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return type(self._plain)

    def __getattr__(self, name: str) -> Any:
        plain = self._plain
        if name in type(plain).model_fields:
            value, key = getattr(plain, name), f"{self._key}.{name}".lstrip(".")
            if isinstance(value, BaseModel):
                return Recorded(value, self._read, key)
            self._read(key)
            return value
        if name in DUMPS:
            self._read(self._key or WHOLE)
        member = inspect.getattr_static(type(plain), name, None)
        if isinstance(member, property) and member.fget:
            return member.fget(self)
        # A method of the project's own reads through this object; those of pydantic know only a model.
        own = inspect.isfunction(member) and member.__module__.startswith("recsys_spark") and name not in NAMES_ONLY
        return MethodType(cast(FunctionType, member), self) if own else getattr(plain, name)

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Recorded:
        """A copy that goes on recording."""
        values = {name: plain_of(value) for name, value in (update or {}).items()}
        return Recorded(self._plain.model_copy(update=values), self._read, self._key)

    def __reduce__(self) -> tuple[Any, ...]:
        self._read(self._key or WHOLE)
        return copy.copy, (self._plain,)


def plain_of(value: Any) -> Any:
    """The configuration itself, of one that records or of one that does not."""
    return object.__getattribute__(value, "_plain") if type(value) is Recorded else value


def is_declared(key: str, settings: tuple[str, ...]) -> bool:
    """Whether a change of ``key`` is a change of one of the ``settings``."""
    return any(f"{key}.".startswith(f"{name}.") for name in (*settings, *EXEMPT))


def checked(stage: Stage, walks: set[tuple[str, bool]]) -> Stage:
    """The stage, whose step is handed a configuration that raises UndeclaredSetting at the read of an undeclared key.

    ``walks`` collects (stage, whether in a backtest) of every step that ran.
    """

    def read(key: str) -> None:
        if not is_declared(key, stage.settings) and (stage.name, key) not in ONLY_CHECKED:
            raise UndeclaredSetting(f"stage `{stage.name}` reads `{key}`, and its settings are {stage.settings}")

    def watched(ctx: Context) -> Context:
        run = ctx.run_backtest
        # The stages of a backtest are charged for what they read, and not the stage that runs them.
        inner = None if run is None else lambda back: run(replace(back, cfg=plain_of(back.cfg)))
        # The private type stands in for Config wherever the step passes it on.
        return replace(ctx, cfg=Recorded(plain_of(ctx.cfg), read), run_backtest=inner)  # type: ignore[arg-type]

    def step(ctx: Context, attempt: Attempt) -> Facts:
        walks.add((stage.name, ctx.hidden is not None))
        return stage.step(watched(ctx), attempt)

    own = stage.own_input
    if own is None:
        return replace(stage, step=step)
    return replace(stage, step=step, own_input=replace(own, check=lambda ctx, value: own.check(watched(ctx), value)))


def check_every_stage(patch: pytest.MonkeyPatch) -> set[tuple[str, bool]]:
    """Have every stage that the pipeline runs checked; returns what :func:`checked` collects."""
    walks: set[tuple[str, bool]] = set()
    run_stage = pipeline._run_stage
    patch.setattr(pipeline, "_run_stage", lambda ctx, stage: run_stage(ctx, checked(stage, walks)))
    return walks
