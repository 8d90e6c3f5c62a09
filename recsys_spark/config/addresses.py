"""Where something is: one function for every path and address of the configuration and of the command line.

An address is right or refused. If Spark, Hadoop or the operating system would read a text in another way than its
writer means, the text is a ConfigError before anything is written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from recsys_spark.config import address_rules as rules
from recsys_spark.config.address_kinds import LOCAL, MODEL, TRACKING, Kind
from recsys_spark.config.variables import check_variables, is_one_variable, with_variables
from recsys_spark.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=/)")
"""Two letters at least: one letter is a drive of Windows."""
_SERVER = re.compile(r"(?!file:|sqlite)[A-Za-z][A-Za-z0-9+.-]+://|databricks(-uc)?$")
_DATABASE = re.compile(r"(sqlite(?:\+\w+)?:///)([^?]*)(.*)")
_PASSWORD = re.compile(r"//[^/@\s]+@")


def has_scheme(text: str) -> bool:
    """Return whether a text is an address `SCHEME:/PATH` or `SCHEME://HOST/PATH`, and not a path of this machine.

    >>> [has_scheme(text) for text in ("hdfs:/x", "s3a://b/x", "/x", "C:/x", "org/name", "a:b")]
    [True, True, False, False, False, False]
    """
    return _SCHEME.match(text) is not None


def address(text: str, base: Path, kind: Kind, *, key: str, where: str) -> str:
    """Return an address as everything later takes it: absolute, or the name of a model. Raises ConfigError.

    ``base`` is the folder at which a relative path starts; ``key`` is the key or option that holds the text.
    """
    asked = _Asked(text, kind, key, where)
    if kind.may_be_empty and (not text or is_one_variable(text)) and not with_variables(text, where=where):
        return ""
    if not (kind is TRACKING and _SERVER.match(text)):
        # A password in the address of a server may hold any character.
        check_variables(text, key=key, where=where)
    given = with_variables(text, where=where)
    asked.refuse(rules.of_text(given))
    if kind is TRACKING and _SERVER.match(given):
        return given
    if kind is TRACKING and given.startswith(("sqlite:", "sqlite+")):
        return _database(given, base, asked)
    asked.refuse(rules.of_path(given, kind))
    given = _with_home(given, asked)
    if scheme := _SCHEME.match(given):
        return _with_scheme(given, scheme[1].lower(), asked)
    if kind is MODEL and _is_name(given, base):
        return given
    if not given.startswith("/"):
        asked.refuse(rules.of_base(base, kind))
    placed = base / given
    asked.refuse(rules.of_place(placed, kind))
    return str(placed.resolve() if kind is MODEL else placed)


def local_path(text: str | Path, *, option: str, kind: Kind = LOCAL) -> Path:
    """Return the path that an option of the command line names; a relative one starts at the working directory."""
    return Path(address(str(text), Path.cwd(), kind, key=option, where="command line"))


def absolute_text(text: str, base: Path) -> str:
    """Return a relative address behind the folder where it starts, with its `${NAME}` as they are."""
    if database := _DATABASE.fullmatch(text):
        return f"{database[1]}{base / database[2]}{database[3]}"
    return str(base / text)


@dataclass(frozen=True)
class _Asked:
    """An address as it was given."""

    text: str
    kind: Kind
    key: str
    where: str

    def refuse(self, problems: rules.Problems) -> None:
        """Raise ConfigError for the first problem, if there is one."""
        for what, action in problems:
            raise ConfigError(
                f"`{self.key}` {what}",
                where=self.where,
                found=repr(_PASSWORD.sub("//***@", self.text)),
                expected=self.kind.expected,
                action=action,
            )


def _with_home(text: str, asked: _Asked) -> str:
    """Return the text with the home folder for `~` or `~USER`."""
    if not text.startswith("~"):
        return text
    who = text.partition("/")[0]
    placed = os.path.expanduser(text)
    if not placed.startswith("/") or (who == "~" and os.environ.get("HOME") == ""):
        asked.refuse(iter([(f"names the home folder {who}, which is not known", "Write the folder's path.")]))
    return placed


def _with_scheme(text: str, scheme: str, asked: _Asked) -> str:
    """Return an address with its scheme in lower case, as Hadoop looks it up; a path where there must be no scheme."""
    rest = text[len(scheme) + 1 :]
    host, _, path = rest[2:].partition("/") if rest.startswith("//") else ("", "", rest[1:])
    asked.refuse(rules.of_scheme(scheme, host, path, asked.kind))
    return f"{scheme}:{rest}" if asked.kind.schemes else f"/{path.lstrip('/')}"


def _is_name(text: str, base: Path) -> bool:
    """Return whether `encoder.model` is a name or a hub id, and not a path: it has no dot first and at most one slash.

    ORG/NAME is a path where the folder ORG is next to the configuration.
    """
    first, slash, rest = text.rstrip("/").partition("/")
    if first == "" or first.startswith("."):
        return False
    return not slash or ("/" not in rest and not (base / first).is_dir())


def _database(text: str, base: Path, asked: _Asked) -> str:
    """Return the address of an SQLite file with an absolute path."""
    found = _DATABASE.fullmatch(text)
    if found is None or found[2] in ("", ":memory:"):
        asked.refuse(iter([("does not name a file after `sqlite:///`", "Write sqlite:////FOLDER/mlflow.db.")]))
    prefix, file, query = found.groups() if found else ("", "", "")
    placed = address(file, base, LOCAL, key=asked.key, where=asked.where)
    if "%" in placed:
        asked.refuse(iter([("has % in its path, which SQLAlchemy may decode", "Choose a folder without %.")]))
    return f"{prefix}{placed}{query}"
