"""A folder whose modules have the names of the standard library and of what the job imports; each fails on import."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAID = "imported from the working directory"
BROUGHT = ("py4j", "llvmlite", "pydantic_core", "typing_extensions", "dateutil", "yaml", "requests", "recsys_spark")


def shadows(folder: Path) -> Path:
    """Make the folder, with a file for each module and a package for each that is one, and return it."""
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    required = re.findall(r'"([\w-]+)[><=]', setup[setup.index("install_requires") : setup.index("extras_require")])
    folder.mkdir(parents=True)
    for name in {*sys.stdlib_module_names, *(name.replace("-", "_") for name in required), *BROUGHT}:
        text = f"import os\nos.write(2, b'{name} {SAID}\\n')\nraise RuntimeError('{name} {SAID}')\n"
        (folder / f"{name}.py").write_text(text)
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(text)
    return folder
