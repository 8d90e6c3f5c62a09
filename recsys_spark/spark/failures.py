"""Turns what Spark raises into errors that name the stage and say the first cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from recsys_spark import errors
from recsys_spark.errors import RecsysError, StoreError

_PYTHON_ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt): ")
_OURS = re.compile(r"^recsys_spark\.errors\.(\w+): (.*)$", re.MULTILINE)
_N_CAUSES = 20
_PART = re.compile(r"^  (where|found|expected|to do):\s+(.*)$")
JavaFailure = Py4JJavaError
"""An exception of the JVM, such as a failed job or an unreadable file. Modules outside this folder use this name."""
SparkFailure = (PySparkException, JavaFailure)
"""What Spark raises; the second is raised by a failed job, such as one that met a corrupt file."""


def java_message(error: Py4JJavaError) -> str:
    """Return the class and the message of the Java exception, without its stack trace."""
    return str(error.java_exception.toString())


def messages(error: Exception) -> list[str]:
    """Return the class and message of a failure of Spark and of each of its causes, the deepest last."""
    cause = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    found: list[str] = []
    while cause is not None and len(found) < _N_CAUSES:
        found.append(str(cause.toString()))
        cause = cause.getCause()
    return found or [str(error)]


@contextmanager
def named_failures(stage: str) -> Iterator[None]:
    """Let errors of this project pass, also those raised on a worker; let all others name the stage."""
    try:
        yield
    except RecsysError:
        raise
    except (PySparkException, JavaFailure) as error:
        text = str(error)
        ours = worker_error(text)
        if ours is not None:
            raise ours from error
        raise RecsysError(
            f"The stage `{stage}` failed in Spark",
            where=stage,
            found=first_cause(text),
            expected="a stage whose Spark jobs all finish",
            action="The same command again continues. What was published stays. --verbose shows the whole trace.",
        ) from error
    except OSError as error:
        raise StoreError(
            f"The stage `{stage}` could not use the store",
            where=stage,
            found=error,
            expected="a store that can be read and written",
            action="Check permissions, quota and space; the same command again continues.",
        ) from error


def worker_error(text: str) -> RecsysError | None:
    """Return the error of this project that a Python worker raised, read from the text of a Spark failure; else None.

    >>> error = worker_error("x\\nrecsys_spark.errors.DataError: NaN in a vector\\n  where:    i1\\n\\tat java")
    >>> type(error).__name__, error.what, error.where
    ('DataError', 'NaN in a vector', 'i1')
    """
    found = _OURS.search(text)
    kind = getattr(errors, found[1], None) if found else None
    if found is None or not (isinstance(kind, type) and issubclass(kind, RecsysError)):
        return None
    parts: dict[str, str] = {}
    for line in text[found.end() :].lstrip("\n").splitlines():
        part = _PART.match(line)
        if part is None:
            break
        parts["action" if part[1] == "to do" else part[1]] = part[2]
    error: RecsysError = kind(found[2], **parts)
    return error


def first_cause(text: str) -> str:
    """Return the root of a Spark failure: the error of a Python worker, the deepest `Caused by`, or the first line.

    >>> first_cause("Job aborted\\nTraceback (most recent call last):\\n  File ...\\nKeyError: 'x'\\n\\tat org.apache")
    "KeyError: 'x'"
    """
    lines = [line for line in text.splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line) and "PythonException" not in line]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return (python or causes or lines or ["unknown"])[-1 if python or causes else 0].strip()[:600]
