"""Reads a configuration file: TOML, environment variables and relative paths, with errors that say what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from recsys_spark.config.address_kinds import kind_of
from recsys_spark.config.addresses import address, local_path
from recsys_spark.config.sections import Config
from recsys_spark.config.toml_file import read_toml
from recsys_spark.config.variables import with_variables
from recsys_spark.errors import ConfigError, nearest


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration in a TOML file, with environment variables and relative paths resolved.

    ``overrides``: dotted keys whose values replace those of the file, such as ``{"run.top_n": 10}``.
    Raises ConfigError, which names the file, the key, what was found and the nearest valid key.
    """
    content = read_toml(path)
    for key, value in (overrides or {}).items():
        _set(content, key, value)
    folder = local_path(path, option="--config").resolve().parent
    placed = place(content, folder, str(path), overrides=overrides)
    return parse_config(placed, where=str(path), overrides=overrides)


def parse_config(
    content: Mapping[str, Any], where: str = "config", *, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Validate an already parsed configuration; ``overrides`` are the dotted keys that are not from ``where``. Raises
    ConfigError."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise _explain(error, where, overrides or {}) from error


def _set(content: Any, dotted: str, value: Any) -> None:
    """Set one dotted key in the content of the file. A number chooses one of several sources."""
    *path, last = dotted.split(".")
    try:
        for part in path:
            content = content[int(part)] if isinstance(content, list) else content.setdefault(part, {})
        if isinstance(content, list):
            content[int(last)] = value
        else:
            content[last] = value
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"The key `{dotted}` cannot be set",
            where="--set",
            found=f"{dotted} = {value!r}",
            expected="a key of a table; a list of sources takes a number, as in sources.behaviours.0.path",
            action="Correct the key. docs/configuration.md lists all keys.",
        ) from error


def place(
    content: dict[str, Any], base: Path, where: str, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the content with `${NAME}` replaced in every string, and with every address as `addresses` returns it.

    Relative addresses start at the folder ``base``. Raises ConfigError.
    """

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: walk(inner, f"{key}.{name}".lstrip(".")) for name, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, f"{key}.{number}") for number, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        at, kind = _origin(key, where, overrides or {}), kind_of(key)
        if kind is not None:
            return address(value, base, kind, key=key, where=at)
        text = with_variables(value, where=at)
        if key.startswith("spark.") and text.startswith("~"):
            raise ConfigError(
                f"Spark does not replace the ~ of `{key}`",
                where=at,
                found=value,
                expected="a path without ~",
                action=f"Write ${{HOME}}{text[1:]}." if text.startswith("~/") else "Write the whole path.",
            )
        return text

    placed: dict[str, Any] = walk(content, "")
    return placed


def _origin(key: str, where: str, overrides: Mapping[str, Any]) -> str:
    """Return where the value of a key comes from: the file, or an option that replaced it."""
    return f"--set, over {where}" if any(f"{key}.".startswith(f"{given}.") for given in overrides) else where


def _explain(error: ValidationError, where: str, overrides: Mapping[str, Any]) -> ConfigError:
    # A misspelt key also makes the right key missing. The user must see the misspelling.
    problems = error.errors()
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    where = _origin(key, where, overrides)
    if first["type"] == "extra_forbidden":
        valid = _keys_at(location[:-1])
        close = nearest(location[-1], valid)
        return ConfigError(
            f"Unknown key `{key}`{more}",
            where=where,
            found=location[-1],
            expected=", ".join(sorted(valid)),
            action=f"Did you mean `{close}`?" if close else "Remove it.",
        )
    if first["type"] == "missing":
        return ConfigError(
            f"The key `{key}` is missing{more}",
            where=where,
            found="nothing",
            expected=f"a value for `{key}`",
            action="Add it. docs/configuration.md describes it.",
        )
    if not key:
        # A rule over several sections: its message names the keys, and showing the whole file would not help.
        return ConfigError(
            f"Values of the configuration do not fit together{more}",
            where=where,
            found=first["msg"].removeprefix("Value error, "),
            expected="values that fit together",
            action="Correct the key that the message names. docs/configuration.md describes it.",
        )
    value = first.get("input")
    shown = f"NaN for `{key}`" if isinstance(value, float) and math.isnan(value) else f"{value!r:.200}"
    return ConfigError(
        f"The value of `{key}` is not valid{more}",
        where=where,
        found=shown,
        expected=first["msg"],
        action=f"Correct `{key}`. docs/configuration.md describes it.",
    )


def _keys_at(location: list[str]) -> list[str]:
    """Return the keys that are valid at a location such as ['sources', 'items', '0']."""
    section: Any = Config
    for part in location:
        if part.isdigit():
            continue
        annotation = section.model_fields[part].annotation
        section = next((a for a in getattr(annotation, "__args__", ()) if _is_section(a)), annotation)
    return list(section.model_fields) if _is_section(section) else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
