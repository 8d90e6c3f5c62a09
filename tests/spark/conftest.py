"""A Java that is a shell script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Home = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A JAVA_HOME whose `java` is a shell script, with or without a file `release`."""

    def make(script: str = "", release: str | None = None, name: str = "jdk") -> Path:
        folder = tmp_path / name
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / "java").chmod(0o755)
        if release is not None:
            (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{release}"\n')
        return folder

    return make
