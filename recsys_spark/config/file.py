"""Reads a configuration file: TOML, environment variables and relative paths, with errors that say what to do."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError, nearest

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://|^/", re.IGNORECASE)


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration in a TOML file, with environment variables and relative paths resolved.

    ``overrides``: dotted keys whose values replace those of the file, such as ``{"run.top_n": 10}``.
    Raises ConfigError, which names the file, the key, what was found and the nearest valid key.
    """
    file = Path(path)
    content = read_toml(file)
    for key, value in (overrides or {}).items():
        _set(content, key, value)
    return parse_config(place(content, file.resolve().parent, str(path)), where=str(path), overrides=overrides)


def read_toml(path: str | Path, *, what: str = "configuration file", option: str = "--config") -> dict[str, Any]:
    """Return the content of a TOML file, unchanged. Raises ConfigError.

    ``what`` names the file in messages; ``option`` is the command-line option that named it.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(
            f"The {what} does not exist",
            where=str(path),
            found="no file of that name",
            expected="a TOML file on the machine where the driver starts",
            action=f"Pass {option} FILE. conf/ has examples.",
        )
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The {what} is not valid TOML",
            where=str(path),
            found=error,
            expected="TOML 1.0 in UTF-8",
            action="Correct the line that the message names.",
        ) from error


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


def place(content: dict[str, Any], base: Path, where: str) -> dict[str, Any]:
    """Return the content with `${NAME}` replaced in every string, and `path`, `store` and a model's folder absolute.

    Raises ConfigError where an environment variable is not set.
    """

    def expand(text: str) -> str:
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

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key) for v in value]
        if isinstance(value, str):
            text = expand(value)
            relative = key in ("path", "store") and not _SCHEME.match(text)
            return str(base / text) if relative else text
        return value

    placed: dict[str, Any] = walk(content)
    model = placed.get("encoder", {}).get("model") if isinstance(placed.get("encoder"), dict) else None
    if isinstance(model, str) and model.startswith("."):
        placed["encoder"]["model"] = str((base / model).resolve())
    return placed


def _explain(error: ValidationError, where: str, overrides: Mapping[str, Any]) -> ConfigError:
    # A misspelt key also makes the right key missing. The user must see the misspelling.
    problems = error.errors()
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if any(f"{key}.".startswith(f"{given}.") for given in overrides):
        where = f"--set, over {where}"
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
