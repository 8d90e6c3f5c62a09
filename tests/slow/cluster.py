"""A real standalone cluster on this machine: one master and workers started from PySpark's own spark-class."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyspark
import pytest

ROOT = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
START_SECONDS, GONE_SECONDS = 180, 60
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")


@dataclass(frozen=True)
class Cluster:
    """Where the master listens, and where its state can be read as JSON."""

    url: str
    ui: str

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.ui}/json/", timeout=10) as answer:
            return dict(json.load(answer))


def environment(folder: Path) -> dict[str, str]:
    """Variables of every Spark process: this PySpark, this Python, and none of the caller's own Spark settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
    return clean | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "512m",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def finished(
    command: Sequence[str], spark: Path, cwd: Path, seconds: float, python_path: str | None = None
) -> tuple[int, str]:
    """Run to the end, away from the checkout and in a process group of its own: status, and all that was printed."""
    done = subprocess.run(
        command,
        env=environment(spark) | ({"PYTHONPATH": python_path} if python_path else {}),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
        start_new_session=True,
    )
    return done.returncode, done.stdout


def job_finished(
    job: ModuleType, master: str, *arguments: object, spark: Path, seconds: float, submit: bool = False, status: int = 0
) -> None:
    """Run a module of tests as a script, by Python or spark-submit, beside ``spark``; it must end with ``status``.

    As a script, its functions travel to the executors by value: only the driver finds `tests`.
    """
    arguments = (master, *arguments)
    runner = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master] if submit else [sys.executable]
    command = [*runner, str(job.__file__), *map(str, arguments)]
    found, printed = finished(command, spark, spark.parent, seconds, python_path=str(ROOT))
    assert found == status, printed[-6000:]


def nothing_left(folder: Path) -> None:
    """Return when no process is left that the folder's name was handed down to."""
    deadline = time.monotonic() + GONE_SECONDS
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that the folder's name was handed down to."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # somebody else's, or gone since
            continue
    return found


def until(what: str, found: Any, log: Path, process: subprocess.Popen[bytes], seconds: float = START_SECONDS) -> Any:
    """Ask ``found()`` until it answers; fails with the end of the log when time is up or the process has died."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def daemon(name: str, folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run ``spark-class org.apache.spark.deploy...`` in a process group of its own; it ends with the block."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(SPARK_HOME / "bin" / "spark-class"), *arguments],
            env=environment(folder),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        # A worker's executors are its children in the same group.
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(timeout=20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


@contextmanager
def standalone_cluster(
    folder: Path, *, n_workers: int, cores: int, memory: str, worker_properties: Sequence[Mapping[str, str]] = ()
) -> Iterator[Cluster]:
    """Start a master and workers on free ports and wait until all workers are registered.

    ``worker_properties``: the `spark.worker.*` of each worker, where it has any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    local = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    with ExitStack() as stack:
        process, log = stack.enter_context(daemon("master", folder, f"{DEPLOY}.master.Master", *local))

        def said(pattern: str) -> str | None:
            match = re.search(pattern, log.read_text(errors="replace"))
            return match[1] if match else None

        url = until("the master's start", lambda: said(r"Starting Spark master at (spark://\S+)"), log, process)
        ui = until("the master's UI", lambda: said(r"MasterWebUI.* started at (http://\S+)"), log, process)
        cluster = Cluster(url, ui)
        for n in range(n_workers):
            own = folder / f"worker-{n}.conf"
            properties = worker_properties[n] if worker_properties else {}
            own.write_text("".join(f"{key} {value}\n" for key, value in properties.items()))
            size = ("--cores", str(cores), "--memory", memory, "--properties-file", str(own))
            process, log = stack.enter_context(
                daemon(f"worker-{n}", folder, f"{DEPLOY}.worker.Worker", *local, *size, url)
            )
        until(
            f"the registration of {n_workers} workers",
            lambda: cluster.state()["aliveworkers"] == n_workers,
            log,
            process,
        )
        yield cluster
