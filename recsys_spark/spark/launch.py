"""Runs spark-submit for submit.sh: checks first, passes signals and the exit status on, explains a start that failed.

Imports nothing of Spark. The driver removes the file STARTED when its Python begins; what is left of it tells that
Spark never got so far.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, MutableMapping, Sequence
from types import FrameType

from recsys_spark.errors import StartupError
from recsys_spark.spark.spark_home import spark_home_of
from recsys_spark.spark.start_failures import repeated, start_failure
from recsys_spark.spark.startup import check_settings, check_start, prepare

STARTED = "RECSYS_SPARK_START"
NO_JAVA = (1, 126, 127)
"""What spark-submit ends with where Java does not start, or where Spark ends before the driver's Python."""
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `spark-submit ...` and return its exit status, or that of StartupError where Spark did not start."""
    parser = argparse.ArgumentParser(description="Run spark-submit and explain a start that fails.")
    parser.add_argument("--master", default="")
    parser.add_argument("--deploy-mode", default="client")
    parser.add_argument("--spark-home", action="store_true", help="only print the folder of Spark, if there is one")
    parser.add_argument("--options", type=int, default=1, help="how many words of COMMAND precede the script")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    asked = parser.parse_args(argv)
    if asked.spark_home:
        print(spark_home_of(os.environ) or "")
        return 0
    try:
        return launch(asked.command, asked.options, asked.master, in_cluster=asked.deploy_mode == "cluster")
    except StartupError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code


def launch(command: Sequence[str], n_options: int, master: str, *, in_cluster: bool) -> int:
    """Check, run and explain; ``n_options`` words of ``command`` are spark-submit and its options."""
    environ = dict(os.environ)
    prepare(environ, master)
    check_start(environ, submits=True)
    if not in_cluster:
        _require_python()
        check_settings({**given(command[:n_options]), "spark.master": master}, environ)
    with _mark(environ) as mark:
        status = run(command, environ)
        started = in_cluster or not os.path.exists(mark)
    words = "" if started or status not in NO_JAVA else repeated(command[:n_options], environ)
    if words:
        raise start_failure(words, f"{command[0]}, which ended with status {status}")
    return status if status >= 0 else 128 - status


def driver_started(environ: MutableMapping[str, str]) -> None:
    """Tell the launcher, from the driver, that Spark has got as far as the job's Python."""
    mark = environ.pop(STARTED, None)
    if mark:
        with contextlib.suppress(OSError):
            os.unlink(mark)


def given(options: Sequence[str]) -> dict[str, str]:
    """Return the properties that spark-submit is given by `--conf` or `-c`.

    >>> given(["spark-submit", "--conf", "spark.a=1=2", "-c", "spark.b=x", "--conf=spark.c="])
    {'spark.a': '1=2', 'spark.b': 'x', 'spark.c': ''}
    """
    before = ["", *options]
    pairs = [value for option, value in zip(before, options, strict=False) if option in ("--conf", "-c")]
    pairs += [word.removeprefix("--conf=") for word in options if word.startswith("--conf=")]
    split = (pair.partition("=") for pair in pairs)
    return {key: value for key, _, value in split}


def run(command: Sequence[str], environ: MutableMapping[str, str]) -> int:
    """Run a command in this process's group and return its status; signals that ask for an end are passed on."""
    early: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _: FrameType | None) -> None:
        # A terminal sends its own two to the whole group, so the child has them already.
        if number in (signal.SIGINT, signal.SIGQUIT):
            return
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    # A signal that is ignored, as by nohup, stays ignored in the child too.
    heard = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in heard}
    try:
        # This process has one thread, so a function between fork and exec is safe.
        child = subprocess.Popen(command, env=dict(environ), preexec_fn=_end_with_parent)  # noqa: PLW1509
        for number in early:
            child.send_signal(number)
        return child.wait()
    except OSError as error:
        raise start_failure(f"{error.filename or command[0]}: {error.strerror}", command[0]) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _mark(environ: MutableMapping[str, str]) -> Iterator[str]:
    handle, mark = tempfile.mkstemp(prefix="recsys-spark-start-")
    os.close(handle)
    environ[STARTED] = mark
    try:
        yield mark
    finally:
        with contextlib.suppress(OSError):
            os.unlink(mark)


def _end_with_parent() -> None:
    # A scheduler that kills without asking kills this process alone; Linux then ends the child, too.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _require_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 the launcher may run under an older Python than the package allows
        raise StartupError(
            "The driver's Python is too old",
            where=sys.executable,
            found="Python {}.{}".format(*sys.version_info[:2]),
            expected="Python 3.11 or later",
            action="Set PYSPARK_DRIVER_PYTHON to such a Python.",
        )
