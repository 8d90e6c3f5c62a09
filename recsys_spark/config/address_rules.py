"""Why a text is not an address that the job can use: each rule yields (what is wrong, what to do)."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from recsys_spark.config.address_kinds import MODEL, SOURCE, TRACKING, Kind

Problems = Iterator[tuple[str, str]]
_DRIVE = re.compile(r"[A-Za-z]:|/[A-Za-z]:([\\/]|$)")
_COLON_FIRST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?!/)")
_ESCAPED = re.compile(r"\\[\[\]{}*?\\,^-]")
_QUOTES = "'\"\u2018\u2019\u201c\u201d"
PATTERN = frozenset("[]{}*?\\")
"""Characters of Spark's file patterns. A backslash in front of one of them takes its meaning away."""
_WITH_HOST = re.compile("s3[an]?|gs|abfss?|wasbs?|adl|oss|cosn|obs|https?")
"""Schemes whose addresses name a bucket, a container or a host first."""


def of_text(text: str) -> Problems:
    """Yield what is wrong with a text, whatever it is the address of."""
    if not text.strip():
        yield "is empty", "Write an address, or leave the key out if it is optional."
    if text != text.strip() or "Cf" in (unicodedata.category(text[0]), unicodedata.category(text[-1])):
        yield "begins or ends with a blank or an invisible character", "Remove it."
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        yield "has a control character", "Remove it; a line break may come from a variable."
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        yield "has quotation marks inside its value", "Remove them."


def of_path(text: str, kind: Kind) -> Problems:
    """Yield why a text is not a path or an address on this system, though it may be one elsewhere."""
    if _DRIVE.match(text) or text.startswith("\\\\"):
        yield "is a path of Windows", "Write the path as Linux has it, such as /mnt/c/data."
    if "\\" in (_ESCAPED.sub("", text) if kind is SOURCE else text):
        yield "has a backslash", "Write / between folders."
    if text.startswith("//"):
        yield "begins with two slashes", "Write /FOLDER for a path, or SCHEME://HOST/FOLDER."
    if _COLON_FIRST.match(text):
        name = text.partition(":")[0]
        action = f"Write http://{text}." if kind is TRACKING else f"Write {name}:/PATH or {name}://HOST/PATH."
        yield f"has `{name}:` without a slash after it", action
    if "~" in text.split("/")[1:]:
        yield "has a folder `~` inside", "Write ~ at the beginning, or the name of the folder."
    if "${" in text:
        yield "names a variable inside the value of a variable", "Write the value itself into the variable."


def of_scheme(scheme: str, host: str, path: str, kind: Kind) -> Problems:
    """Yield why an address with a scheme names nothing that can be opened."""
    if scheme == "file" and host:
        yield "has two slashes after `file:`, so its first folder is a host", f"Write file:///{host}/{path}."
    if scheme != "file" and not kind.schemes:
        yield f"is an address of {scheme}", "Name a path of the driver's machine."
    if _WITH_HOST.fullmatch(scheme) and not host:
        yield f"names no bucket or host after `{scheme}:`", f"Write {scheme}://NAME/PATH."
    if scheme in ("http", "https") and kind.is_literal and kind is not MODEL:
        yield f"is an address of {scheme}, to which Spark cannot write", "Name a folder, or an address such as s3a://."
    if kind.is_literal:
        yield from _of_literal(path)
    if kind is SOURCE:
        yield from _of_pattern(path)
    if scheme == "file":
        yield from of_place(Path(f"/{path}"), kind)


def of_place(placed: Path, kind: Kind) -> Problems:
    """Yield why Spark would not open an absolute path as it is."""
    if kind.is_literal and kind is not MODEL:
        yield from _of_literal(str(placed))
        if file := next((part for part in (placed, *placed.parents) if os.path.isfile(part)), None):
            yield f"lies in {file}, which is a file", "Choose a folder."
    if kind is SOURCE:
        yield from _of_source(placed)
        yield from _of_pattern(str(placed))


def of_base(base: Path, kind: Kind) -> Problems:
    """Yield why a pattern cannot start at the configuration file's folder."""
    if kind is SOURCE and (found := PATTERN & set(str(base))):
        yield (
            f"starts at the folder {base}, in which Spark would read {' '.join(sorted(found))} as a pattern",
            "Rename the folder, or write the whole path with a backslash in front of each such character.",
        )


def _of_pattern(path: str) -> Problems:
    """Yield why Hadoop could not read a pattern."""
    plain = _ESCAPED.sub("", path)
    for opened, closed in ("[]", "{}"):
        if plain.rfind(opened) > plain.rfind(closed):
            yield f"has {opened} without {closed}", f"Close it, or put a backslash in front of {opened}."


def _of_source(placed: Path) -> Problems:
    """Yield why Spark would pass over a file that is there."""
    for part in (placed, *placed.parents):
        if PATTERN & set(part.name) and os.path.exists(part):
            action = "Put a backslash in front of each such character, or rename the file or folder."
            yield f"names {part}, which is there, but Spark would read it as a pattern", action
    if placed.name.startswith(("_", ".")) and os.path.isfile(placed):
        yield "is a file whose name begins with _ or a dot; Spark ignores such files", "Rename the file."


def _of_literal(path: str) -> Problems:
    if found := sorted(PATTERN & set(path)):
        yield f"has {' '.join(found)} in its path, which Spark reads as a pattern", "Rename the folder."
    if ":" in path:
        yield "has a colon in the name of a folder, which Spark cannot open", "Rename the folder."
