"""Turns the words of a Java process that died while Spark started into a StartupError. Imports nothing of Spark."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from recsys_spark.errors import StartupError
from recsys_spark.spark.java import EXPECTED, suggestion
from recsys_spark.spark.questions import answer

REPEAT_SECONDS = 60
_NOISE = re.compile(r"^\s|^$|WARN|INFO|^Picked up|^WARNING|Using Spark's|^To adjust|^Setting default|CMD: bad array")
_FATAL = re.compile(
    r"error|exception|could not|cannot|failed|no such|not set|invalid|unrecognized|denied", re.IGNORECASE
)
MEMORY = "Lower spark.driver.memory, or free memory on this machine."

KNOWN: Sequence[tuple[str, str, str, str]] = (
    ("UnsupportedClassVersionError|class file version", "This Java is too old for Spark", EXPECTED, ""),
    ("JAVA_HOME is not set", "Java is missing", EXPECTED, ""),
    (
        "getSubject is (supported only|not supported)",
        "This Java is too new for this Spark",
        "Java 17 or 21, which every Spark 4 supports",
        "Set JAVA_HOME to such a Java.",
    ),
    (
        "Failed to find Spark jars directory",
        "This Spark is not complete",
        "a Spark distribution with its folder jars/",
        "Unset SPARK_HOME to use the Spark of pip's PySpark, or set it to a whole distribution.",
    ),
    (
        "enough space for .*heap|insufficient memory|Cannot allocate memory|(maximum|initial) (Java )?heap",
        "Java cannot get the memory that it was given",
        "a heap that fits into the memory of this machine",
        MEMORY,
    ),
    (
        "System memory .* must be at least",
        "The driver has too little memory for Spark",
        "512m or more",
        "Raise spark.driver.memory.",
    ),
    (
        "Error: Unrecognized option|Error: Missing argument",
        "spark-submit does not know an option that it was given",
        "options of ./submit.sh and of spark-submit",
        "See ./submit.sh --help and spark-submit --help.",
    ),
    (
        "Unrecognized (VM )?option|Invalid .*option|Unrecognized property",
        "Java does not know an option that it was given",
        "options that this Java knows",
        "Correct spark.driver.extraJavaOptions, JAVA_TOOL_OPTIONS or SPARK_SUBMIT_OPTS.",
    ),
    (
        "invalid null input: name|basedir must be absolute: \\?/",
        "The user of this process has no name",
        "a user with a name: Hadoop's login, which Spark begins with, asks the system for it",
        "Add an entry for the uid to /etc/passwd, or preload libnss_wrapper.so with NSS_WRAPPER_PASSWD.",
    ),
    (
        "UnknownHostException",
        "A host name does not resolve",
        "a name that this machine can look up",
        "Add the name to /etc/hosts, or set SPARK_LOCAL_IP to an address of this machine.",
    ),
    (
        "BindException|Cannot assign requested address|failed after \\d+ retries",
        "Spark cannot listen on its address or port",
        "an address of this machine and a port that is free",
        "Correct spark.driver.bindAddress, spark.driver.port or SPARK_LOCAL_IP, or free the port.",
    ),
    (
        "No space left on device|Failed to (create|get) (a |local )?(temp )?dir|Read-only file system",
        "A folder that Spark starts with cannot be written",
        "folders that can be written, with space",
        "Set SPARK_LOCAL_DIRS or spark.local.dir, and TMPDIR, to such folders.",
    ),
    (
        "Could not parse Master URL|master URL must be set|Master must either be",
        "The master of Spark is not an address that Spark knows",
        "local[*], yarn, k8s://HOST:PORT or spark://HOST:PORT",
        "Correct spark.master or --master.",
    ),
)
"""Pattern in the words of Java or Spark, what is wrong, what is expected, what to do; the first that fits counts."""


def start_failure(text: str, where: str) -> StartupError:
    """Return the error for the words that Java or Spark left behind: one of the known, else with their first line."""
    for pattern, what, expected, action in KNOWN:
        found = re.search(f"^.*(?:{pattern}).*$", text, re.MULTILINE)
        if found:
            line = _shortened(found[0])
            return StartupError(
                what, where=where, found=line, expected=expected, action=action or suggestion(os.environ)
            )
    return StartupError(
        "Spark does not start",
        where=where,
        found=first_error(text) or "it ended without a word",
        expected="a Spark that starts",
        action="Do what the words under `found` say; the lines above and --verbose show more.",
    )


def first_error(text: str) -> str | None:
    """Return the first line that tells of an error, without stack traces and log lines below ERROR; None without one.

    >>> first_error("WARN Utils: a\\nError occurred during initialization of VM\\nCould not reserve enough space\\n")
    'Error occurred during initialization of VM; Could not reserve enough space'
    """
    lines = [line for line in text.splitlines() if not _NOISE.search(line)]
    first = next((n for n, line in enumerate(lines) if _FATAL.search(line)), None)
    if first is None:
        return _shortened(lines[0]) if lines else None
    # Java's first line can be a heading; the line below it then holds the cause.
    heading = lines[first].startswith("Error occurred during initialization") and first + 1 < len(lines)
    return _shortened("; ".join(lines[first : first + 2]) if heading else lines[first])


def repeated(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Start Spark once more as an empty shell that ends at once, and return what it prints; no job runs.

    ``command`` is spark-submit with its options, without a script. What the first start printed went to the terminal.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The shell writes its port to this file, waits for the end of its input, and ends.
        env = {**environ, "_PYSPARK_DRIVER_CONN_INFO_PATH": os.path.join(folder, "port"), "SPARK_CONNECT_MODE": "0"}
        try:
            status, said = answer([*command, "pyspark-shell"], env, REPEAT_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return said if status else ""


def _shortened(line: str) -> str:
    return line.strip().removeprefix('Exception in thread "main" ')[:300]
