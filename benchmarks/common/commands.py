"""What a command costs with everything below it: its JVM, the daemon of Python workers, and the workers."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.common.costs import Cost

_SUBREAPER = 36
_HERE = Path(__file__).parents[2]


class CommandFailed(Exception):
    """The command of a benchmark ended with another status than 0."""


def command_cost(
    command: Sequence[str], *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Cost:
    """Run a command to its end and return the cost of all its processes. Raises CommandFailed with its last words.

    Linux only: orphans, such as workers whose JVM has ended, are waited for as well.
    """
    runner = [sys.executable, "-m", "benchmarks.common.commands", *command]
    paths = [str(_HERE), os.environ.get("PYTHONPATH", "")]
    own = {**os.environ, **(environ or {}), "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    done = subprocess.run(runner, env=own, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _main(command: Sequence[str]) -> int:
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    start = time.perf_counter()
    status = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    wall = time.perf_counter() - start
    _end_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "wall": wall}))
    return status


def _end_orphans() -> None:
    """Wait for what the command left behind; what does not end by itself within a second is ended."""
    for at in range(60):
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for child in children if at >= 20 else ():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGTERM if at < 40 else signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
