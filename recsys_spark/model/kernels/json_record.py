"""Reads a frozen dataclass from JSON: every field must exist and have its type, and other fields are refused.

A default does not excuse a missing field, because `dataclasses.asdict` writes all fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
MAY_BE_NAN = {"may be NaN": True}
"""Metadata of a field that holds NaN or infinity in a right file, too."""


class FieldError(ValueError):
    """A field that is missing, unknown, of another type or of a wrong value. ``where`` is its path."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        self.where, self.found, self.expected = where, found, expected
        super().__init__(f"{where}: {found}, expected {expected}")


def record_of(kind: type[Record], values: object, where: str = "") -> Record:
    """Return the ``kind`` of plain ``values`` (`dataclasses.asdict`, through JSON). Raises FieldError.

    >>> from dataclasses import dataclass
    >>> Point = dataclass(type("Point", (), {"__annotations__": {"x": int, "y": float}}))
    >>> record_of(Point, {"x": 1, "y": 2})
    Point(x=1, y=2.0)
    """
    if not isinstance(values, Mapping):
        raise FieldError(where or "the whole", _shown(values), "an object")
    known, hints = fields(kind), get_type_hints(kind)  # type: ignore[arg-type]
    for name in values.keys() - {one.name for one in known}:
        raise FieldError(_below(where, name), "an unknown field", ", ".join(one.name for one in known))
    made = {}
    for one in known:
        path = _below(where, one.name)
        if one.name not in values:
            raise FieldError(path, "nothing", _name(hints[one.name]))
        value = made[one.name] = _value(hints[one.name], values[one.name], path)
        if isinstance(value, float) and not math.isfinite(value) and one.metadata != MAY_BE_NAN:
            raise FieldError(path, _shown(value), "a finite number")
    return kind(**made)


def _value(kind: Any, value: object, where: str) -> Any:
    if isinstance(kind, UnionType):
        others = [one for one in get_args(kind) if one is not NoneType]
        return None if value is None else _value(others[0], value, where)
    container = get_origin(kind)
    if container in (tuple, list) and isinstance(value, list):
        return container(_value(get_args(kind)[0], one, f"{where}[{k}]") for k, one in enumerate(value))
    if container is Mapping and isinstance(value, Mapping):
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        return record_of(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if kind not in (int, float, str) or type(value) is not kind:
        raise FieldError(where, _shown(value), _name(kind))
    return value


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _shown(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:80]}"


def _name(kind: Any) -> str:
    return "list" if get_origin(kind) in (tuple, list) else getattr(kind, "__name__", str(kind))
