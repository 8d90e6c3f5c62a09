"""The kinds of addresses, and which keys of the configuration hold one."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What an address may be."""

    expected: str
    """What a message says about it."""
    schemes: bool = True
    """Whether it may have a scheme. Otherwise it is on the driver's machine."""
    is_literal: bool = False
    """Whether Spark opens it and must not read it as a file pattern."""
    may_be_empty: bool = False


_PLACES = "/FOLDER, a path relative to the configuration file, ~/FOLDER, or SCHEME://HOST/FOLDER"
STORE = Kind(_PLACES, is_literal=True)
"""A folder that Spark writes."""
SOURCE = Kind(f"{_PLACES}; * ? [ ] {{ }} make it a pattern")
"""A file, a folder or a pattern of files that Spark reads."""
MODEL = Kind(f"{_PLACES}, a name, or a hub id ORG/NAME", is_literal=True)
"""A model of the encoder."""
LOCAL = Kind("a path on the driver's machine", schemes=False)
"""A file or folder that Python reads or writes."""
SHOP = Kind("a folder on the driver's machine", schemes=False, is_literal=True)
"""A folder that both Python and Spark write."""
TRACKING = Kind("http(s)://HOST, or a database such as sqlite:////data/mlflow.db", may_be_empty=True)
"""A tracking server, or its database."""
ARTIFACTS = Kind("an address that MLflow writes to, such as s3://BUCKET/FOLDER, or a path", may_be_empty=True)
"""A folder that MLflow writes."""

_KEYS = (
    (re.compile(r"run\.store"), STORE),
    (re.compile(r"sources\.\w+(\.\d+)?(\.join(\.\d+)?)*\.path"), SOURCE),
    (re.compile(r"encoder\.model"), MODEL),
    (re.compile(r"mlflow\.tracking_uri"), TRACKING),
    (re.compile(r"mlflow\.artifact_location"), ARTIFACTS),
)


def kind_of(key: str) -> Kind | None:
    """Return what the address at a key of the configuration may be; None where the value is not an address.

    >>> kind_of("sources.items.0.join.1.path") is SOURCE, kind_of("sources.items.join.0.columns.path")
    (True, None)
    """
    return next((kind for pattern, kind in _KEYS if pattern.fullmatch(key)), None)
