"""Reads a TOML file that people wrote by hand: what is wrong with it is said in the words of an editor, with the line.

Which encoding, which character, which other format: `tomllib` alone says only where it stopped.
"""

from __future__ import annotations

import codecs
import json
import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

from recsys_spark.config.addresses import local_path
from recsys_spark.errors import ConfigError

_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_AT = re.compile(r"at line (\d+), column (\d+)")
_YAML_LINE = re.compile(r"\s*(- )?[\w.-]+\s*:(\s|$)|---\s*$")
_TWICE = re.compile("Cannot overwrite|Cannot mutate|Duplicate")
_UNQUOTED = re.compile(r"\s*[\w.-]+\s*=\s*[A-Za-z_./~$]")


def read_toml(path: str | Path, *, what: str = "configuration file", option: str = "--config") -> dict[str, Any]:
    """Return the content of a TOML file, unchanged. Raises ConfigError.

    ``what`` names the file in messages; ``option`` is the command-line option that named it.
    """
    text = read_text(path, what=what, option=option)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found, action = _explain(text, str(error))
        raise _not_toml(path, what, found, action) from error
    if not content:
        raise _not_toml(path, what, "a file without any key", "Write the keys, or pass another file.")
    return content


def read_text(path: str | Path, *, what: str = "configuration file", option: str = "--config") -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark, and with `\\n` as line end.

    Raises ConfigError.
    """
    content = _bytes(path, what, option)
    for mark, name in _BOMS:
        if content.startswith(mark):
            raise _not_toml(path, what, f"{name}, by the first bytes of the file", "Save the file as UTF-8.")
    if b"\0" in content:
        wide = content.count(b"\0") > len(content) // 4
        line = content[: content.index(b"\0")].count(b"\n") + 1
        found = "UTF-16 without a mark, by its zero bytes" if wide else f"a zero byte (NUL) in line {line}"
        raise _not_toml(path, what, found, "Save the file as UTF-8." if wide else "Remove it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_toml(path, what, _not_utf8(content, error), "Save the file as UTF-8.") from error
    return re.sub("\r\n?", "\n", text)


def _bytes(path: str | Path, what: str, option: str) -> bytes:
    file = local_path(path, option=option)
    try:
        if file.is_file():
            return file.read_bytes()
        found = "a folder" if file.is_dir() else "not a regular file" if file.exists() else ""
    except OSError as error:
        found = error.strerror or str(error)
    raise ConfigError(
        f"The {what} cannot be read" if found else f"The {what} does not exist",
        where=str(path),
        found=found or "no file of that name",
        expected="a TOML file on the machine where the driver starts",
        action=f"Pass {option} FILE. conf/ has examples.",
    )


def _not_toml(path: str | Path, what: str, found: str, action: str) -> ConfigError:
    return ConfigError(
        f"The {what} is not valid TOML",
        where=str(path),
        found=found,
        expected="TOML 1.0 in UTF-8",
        action=action,
    )


def _not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    number = content[: error.start].count(b"\n") + 1
    line = content.splitlines()[number - 1].decode("cp1252", errors="replace").strip()
    return f"line {number} has the byte 0x{content[error.start]:02x}, which is not UTF-8; in Windows-1252: {line:.80}"


def _explain(text: str, message: str) -> tuple[str, str]:
    """Return what was found and what to do about it, from tomllib's message."""
    if text.lstrip().startswith(("{", "[")) and _is_json(text):
        return "JSON", "Write the keys as TOML: [section] above, then key = value."
    at = _AT.search(message)
    if at is None:
        return message, "Close what is open at the end of the file: a quote, a bracket or a brace."
    number, column = int(at[1]), int(at[2])
    line = text.split("\n")[number - 1]
    return f"{message}: {line.strip():.120}", _action(line, column, message, number)


def _action(line: str, column: int, message: str, number: int) -> str:
    strange = next((char for char in line[max(0, column - 2) :] if _is_strange(char)), "")
    if strange:
        name = unicodedata.name(strange, f"U+{ord(strange):04X}").lower()
        straight = "Write straight quotes in" if "quotation" in name else "Remove it from"
        return f"The character {strange} is the {name}. {straight} line {number}."
    wrong = (
        ("Cannot declare" in message, "The section stands twice. Write [[sources.NAME]] for several sources."),
        (_TWICE.search(message), "The key stands twice. Remove one of them."),
        (
            _YAML_LINE.match(line) and "=" not in line,
            "The line looks like YAML. Write TOML: [section] above, then key = value.",
        ),
        ("\\" in line, "Write / between folders, or put a text with backslashes between single quotes."),
        (_UNQUOTED.match(line), 'Put the text between quotes: key = "text".'),
    )
    return next((action for is_so, action in wrong if is_so), "Correct the line that the message names.")


def _is_strange(char: str) -> bool:
    """Return whether a character looks like one of TOML's own and is none: typographic quotes, odd blanks and signs."""
    return ord(char) > 127 and not char.isalnum() and unicodedata.category(char) not in ("Mn", "Mc", "So")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
