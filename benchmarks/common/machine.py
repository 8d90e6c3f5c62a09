"""The machine that figures are measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

INFO = Path("/proc/cpuinfo")
INT8_FLAGS = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
"""Linux's names of the instructions that multiply and add int8 in one step."""


def machine() -> str:
    """Return the processor, the number of cores, the system and the version of Python."""
    names = [line.split(":", 1)[1].strip() for line in _info() if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def int8_instructions() -> str:
    """Return those of INT8_FLAGS that this processor has; `none` if it has none or the system does not say."""
    flags = next((line for line in _info() if line.lower().startswith(("flags", "features"))), "").split()
    return ", ".join(flag for flag in INT8_FLAGS if flag in flags) or "none"


def _info() -> list[str]:
    return INFO.read_text().splitlines() if INFO.exists() else []
