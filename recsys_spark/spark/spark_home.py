"""Finds the Spark distribution that will be started, and refuses one that is missing, incomplete or of another version.

Imports nothing of Spark.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping

from recsys_spark.errors import StartupError

MIN_SPARK = (4, 0)
TO_DO = "Unset SPARK_HOME to use the Spark of pip's PySpark, or set it to the folder of a Spark distribution."


def require_spark(environ: Mapping[str, str], *, submits: bool = False) -> str:
    """Return the folder of the Spark that will be started. Raises StartupError where it cannot be.

    ``submits`` says that its own `spark-submit` starts the driver, and with it its own PySpark.
    """
    home = spark_home_of(environ)
    named = f"SPARK_HOME={environ['SPARK_HOME']}" if environ.get("SPARK_HOME") else f"PySpark of {sys.executable}"
    expected = "a Spark distribution, with bin/spark-submit and jars/"
    if home is None:
        raise StartupError(
            "Spark is missing",
            where=sys.executable,
            found="SPARK_HOME is not set, and this Python has no package pyspark",
            expected="PySpark 4.0 or later in this Python, or a Spark distribution in SPARK_HOME",
            action="Install it with `pip install 'pyspark>=4,<5'`, or set SPARK_HOME.",
        )
    script = os.path.join(home, "bin", "spark-submit")
    if not os.path.isfile(script):
        found = f"{script} does not exist" if os.path.isdir(home) else f"the folder {home} does not exist"
        raise StartupError("Spark is not where it should be", where=named, found=found, expected=expected, action=TO_DO)
    if not os.access(script, os.X_OK):
        raise StartupError(
            "spark-submit cannot be executed",
            where=script,
            found="a file without the permission to execute it",
            expected="a file that this user may execute, on a file system that is not mounted with noexec",
            action=f"chmod +x {os.path.join(home, 'bin')}/*",
        )
    _require_fitting_spark(environ, home, named, submits)
    return home


def spark_home_of(environ: Mapping[str, str]) -> str | None:
    """Return SPARK_HOME, or the folder of the Spark that belongs to the PySpark of this Python; None without both."""
    if environ.get("SPARK_HOME"):
        return environ["SPARK_HOME"]
    found = importlib.util.find_spec("pyspark")
    package = next(iter((found.submodule_search_locations if found else None) or []), None)
    if package is None:
        return None
    # pip's PySpark carries Spark; in a distribution the package lies in SPARK_HOME/python.
    around = (package, os.path.dirname(package), os.path.dirname(os.path.dirname(package)))
    return next((folder for folder in around if os.path.exists(os.path.join(folder, "bin", "spark-submit"))), package)


def spark_version(home: str) -> str | None:
    """Return the version of the Spark in a folder, by its RELEASE file or its jars; None where neither tells."""
    try:
        with open(os.path.join(home, "RELEASE"), encoding="utf-8", errors="replace") as file:
            found = re.match(r"Spark (\d\S*)", file.read())
    except OSError:
        found = None
    try:
        jars = os.listdir(os.path.join(home, "jars"))
    except OSError:
        jars = []
    named = (re.match(r"spark-core_[\d.]+-(\d.*)\.jar$", jar) for jar in jars)
    return found[1] if found else next((jar[1] for jar in named if jar), None)


def _require_fitting_spark(environ: Mapping[str, str], home: str, named: str, submits: bool) -> None:
    version = spark_version(home)
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    if version is None or numbers is None:
        return
    spark = (int(numbers[1]), int(numbers[2]))
    # spark-submit puts its own PySpark before that of pip.
    own = submits and os.path.exists(os.path.join(home, "python", "lib", "pyspark.zip"))
    python = None if own else _pyspark_version()
    if spark < MIN_SPARK:
        expected = "Spark 4.0 or later" + (f"; PySpark here is {python}" if python else "")
    elif python and ".".join(python.split(".")[:2]) != f"{spark[0]}.{spark[1]}":
        expected = f"Spark {python}, the version of PySpark in {sys.executable}"
    else:
        return
    raise StartupError(
        "This Spark has another version than is needed",
        where=named,
        found=f"Spark {version}",
        expected=expected,
        action=TO_DO,
    )


def _pyspark_version() -> str | None:
    found = importlib.util.find_spec("pyspark")
    for folder in (found.submodule_search_locations if found else None) or []:
        try:
            with open(os.path.join(folder, "version.py"), encoding="utf-8") as file:
                version = re.search(r"__version__\b[^=]*=\s*[\"']([^\"']+)", file.read())
        except OSError:
            continue
        if version:
            return version[1]
    return None
