"""Reads a frozen dataclass from JSON: every field must exist and have its type, and other fields are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


class FieldError(ValueError):
    """A field that is missing, unknown or of another type. ``where`` is its path."""

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
        if one.name in values:
            made[one.name] = _value(hints[one.name], values[one.name], _below(where, one.name))
        elif one.default is MISSING:
            raise FieldError(_below(where, one.name), "nothing", _name(hints[one.name]))
    return kind(**made)


def _value(kind: Any, value: object, where: str) -> Any:
    if isinstance(kind, UnionType):
        others = [one for one in get_args(kind) if one is not NoneType]
        return None if value is None else _value(others[0], value, where)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_value(get_args(kind)[0], one, f"{where}[{k}]") for k, one in enumerate(value))
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
    return "list" if get_origin(kind) is tuple else getattr(kind, "__name__", str(kind))
