"""Asks a program of the platform something that it answers at once, and never waits for one that hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence


def answer(command: Sequence[str], environ: Mapping[str, str], seconds: float) -> tuple[int, str]:
    """Return the exit status of a command and all that it printed. Raises OSError and TimeoutExpired.

    A file takes the output: a pipe would stay open as long as any child of a script that was ended.
    """
    with tempfile.TemporaryFile() as output:
        asked = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            asked.wait(seconds)
        except BaseException:
            with contextlib.suppress(OSError):
                os.killpg(asked.pid, signal.SIGKILL)
            asked.wait()
            raise
        output.seek(0)
        return asked.returncode, output.read().decode("utf-8", "replace")
