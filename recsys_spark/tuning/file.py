"""The configuration file that `recsys-spark tune` writes: the user's own with its comments, and other values in
[model]."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys_spark.config.addresses import absolute_text
from recsys_spark.config.file import load_config, place
from recsys_spark.config.sections import Config
from recsys_spark.config.toml_file import read_text
from recsys_spark.errors import ConfigError

NEEDED = ("optuna", "tomlkit")


def check_installed() -> None:
    """Raise ConfigError if a package of the extra `tune` is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "Packages for tuning are not installed",
            where="recsys-spark tune",
            found=f"no {' and no '.join(missing)}",
            expected=" and ".join(NEEDED),
            action="pip install 'recsys-spark[tune]', on the driver's machine; executors do not need them.",
        )


def check_out(file: Path, out: Path) -> None:
    """Raise ConfigError if ``out`` must not or cannot be written."""
    same = out.exists() and out.samefile(file)
    if same or out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError(
            "The tuned configuration cannot be written there",
            where="--out",
            found=f"{out} is "
            + (
                "the configuration itself"
                if same
                else "a folder"
                if out.is_dir()
                else "in a folder that does not exist"
            ),
            expected="another file, in a folder that exists on the driver's machine",
            action="Pass --out TUNED.toml.",
        )


def write_tuned(file: Path, given: Config, out: Path, changes: Mapping[str, Any]) -> None:
    """Write ``file``, which held ``given``, with ``changes`` in [model] to ``out``, at once or not at all.

    If ``out`` is in another folder, relative paths are made absolute. Raises ConfigError if the outcome would differ in
    more than [model].
    """
    text = _tuned_text(file, changes, moved=out.resolve().parent != file.resolve().parent)
    beside = out.absolute().with_name(f".{out.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        _check_same(load_config(beside), given, changes, out)
        os.replace(beside, out)
    finally:
        beside.unlink(missing_ok=True)


def _tuned_text(file: Path, changes: Mapping[str, Any], *, moved: bool) -> str:
    import tomlkit

    content, base = tomlkit.parse(read_text(file)), file.resolve().parent
    if moved:
        plain = content.unwrap()
        # Only `place` knows which strings are relative paths: those that depend on the folder.
        _take_paths(content, place(plain, base, str(file)), place(plain, base / "other", str(file)), base)
    if changes and "model" not in content:
        content["model"] = tomlkit.table()
    for name, value in changes.items():
        content["model"][name] = value
    return tomlkit.dumps(content)


def _take_paths(content: Any, here: Any, other: Any, base: Path) -> None:
    """Make the strings of ``content`` absolute that differ between ``here`` and ``other``; `${NAME}` in them stays."""
    for key in content if isinstance(content, dict) else range(len(content)):
        value = content[key]
        if isinstance(value, (dict, list)):
            _take_paths(value, here[key], other[key], base)
        elif isinstance(value, str) and here[key] != other[key]:
            content[key] = here[key] if "$" not in value else absolute_text(value, base)


def _check_same(written: Config, given: Config, changes: Mapping[str, Any], out: Path) -> None:
    expected = given.model_copy(update={"model": given.model.model_copy(update=dict(changes))})
    if written != expected:
        others = [name for name in Config.model_fields if getattr(written, name) != getattr(expected, name)]
        raise ConfigError(
            "The tuned configuration would differ in more than its [model]",
            where=str(out),
            found=f"other values in {', '.join(others)}",
            expected=f"[model] with {dict(changes)}, and all else as it was when tuning began",
            action="If the configuration was changed meanwhile, run the command again. "
            "Otherwise write these values into it by hand.",
        )
