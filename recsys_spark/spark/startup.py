"""Checks what a Spark of our own needs before it is started, and makes what can be made. Imports nothing of Spark.

The checks read a few small files, and refuse only what is certain to fail. `start_failures` explains the rest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence

from recsys_spark.errors import StartupError
from recsys_spark.spark.java import ANSWER_SECONDS, require_java
from recsys_spark.spark.questions import answer
from recsys_spark.spark.spark_home import require_spark

CHANGED = ("PYTHONPATH", "PYTHONSAFEPATH", "SPARK_HOME", "SPARK_LOCAL_IP", "SPARK_SUBMIT_OPTS")
"""All variables that `prepare` and `check_start` may change."""
SAFE_PATH = "PYTHONSAFEPATH"
"""Python 3.11 and later do not import from the working directory where this variable is set."""
WHICH = "import sys; print('%d.%d' % sys.version_info[:2])"
PROBE_BYTES = 64 * 2**10
_TMPDIR = re.compile(r"-Djava\.io\.tmpdir=(\S+)")


def check_start(environ: MutableMapping[str, str], *, submits: bool = False) -> None:
    """Raise StartupError where Spark cannot start here; does nothing where Spark runs already, as in a notebook.

    ``submits`` says that `spark-submit` will start the driver, with the PySpark of SPARK_HOME.
    """
    if runs_already(environ):
        return
    if not environ.get("SPARK_HOME"):
        environ.pop("SPARK_HOME", None)
    _require_folder()
    _require_user()
    home = require_spark(environ, submits=submits)
    _require_java_folder(environ)
    require_java(environ, home)
    _require_local_folders({}, environ)


def runs_already(environ: Mapping[str, str]) -> bool:
    """Return whether this process has a Spark already: by spark-submit, as a session, or as a remote one."""
    context = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    remote = environ.get("SPARK_REMOTE")
    return bool("PYSPARK_GATEWAY_PORT" in environ or remote or getattr(context, "_active_spark_context", None))


def prepare(environ: MutableMapping[str, str], master: str) -> None:
    """Change the environment that Spark's processes inherit, so that they start where they otherwise would not.

    Python never imports from the working directory. A local Spark needs no host name that resolves.
    """
    environ.setdefault(SAFE_PATH, "1")
    if "PYTHONPATH" in environ:
        environ["PYTHONPATH"] = without_folder(environ["PYTHONPATH"])
    if is_local(master):
        environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")


def without_folder(python_path: str) -> str:
    """Return a PYTHONPATH without its entries that mean the working directory.

    >>> without_folder(":/opt/lib::./:.")
    '/opt/lib'
    """
    return os.pathsep.join(entry for entry in python_path.split(os.pathsep) if entry.rstrip("/") not in ("", "."))


def leave_folder(environ: MutableMapping[str, str]) -> None:
    """Take the working directory off `sys.path` where a PYTHONPATH with an empty entry has put it there."""
    given = environ.get("PYTHONPATH", "")
    kept = without_folder(given)
    if kept == given or not os.path.isdir(os.curdir):
        return
    environ["PYTHONPATH"] = kept
    folder = os.getcwd()
    if folder not in map(os.path.abspath, kept.split(os.pathsep) if kept else ()):
        sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != folder]


def is_local(master: str) -> bool:
    """Return whether all of Spark runs on this machine in one JVM.

    >>> [is_local(master) for master in ("local", "local[*]", "local-cluster[2,1,1024]", "yarn")]
    [True, True, False, False]
    """
    return master.split("[", maxsplit=1)[0] == "local"


def check_settings(properties: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Raise StartupError for a master that Spark does not know, local directories that cannot be written, and a Python
    for the workers of a local Spark that does not start or has another version than this one."""
    _require_master(properties.get("spark.master", ""))
    # In a container of YARN these folders come from the node, whatever the properties say.
    if "CONTAINER_ID" not in environ:
        _require_local_folders(properties, environ)
    if is_local(properties.get("spark.master", "")):
        _require_worker_python(environ.get("PYSPARK_PYTHON") or "python3")


def unusable(folder: str) -> str | None:
    """Return why no file can be written into a folder, which is made where it does not exist; None where one can."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"\0" * PROBE_BYTES)
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    return None


def _require_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise StartupError(
            "The working directory does not exist any more",
            where=os.environ.get("PWD", "working directory"),
            found=error.strerror,
            expected="a folder that exists; Java does not start without one",
            action="Change into an existing folder (cd) and run the same command again.",
        ) from error


def _require_user() -> None:
    try:
        import pwd
    except ImportError:
        return
    try:
        pwd.getpwuid(os.getuid())
    except KeyError as error:
        raise StartupError(
            "The user of this process has no name",
            where=f"uid {os.getuid()}",
            found="no entry in /etc/passwd or another user database",
            expected="a user with a name: Hadoop's login, which Spark begins with, asks the system for it",
            action="Add an entry (useradd --uid, or a line in /etc/passwd of the container), or preload "
            "libnss_wrapper.so with NSS_WRAPPER_PASSWD. HADOOP_USER_NAME alone does not help.",
        ) from error


def _require_java_folder(environ: MutableMapping[str, str]) -> None:
    # Java does not read TMPDIR. Spark writes into Java's folder before it reads its own settings.
    options = (environ.get(name, "") for name in ("SPARK_SUBMIT_OPTS", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"))
    given = _TMPDIR.search(" ".join(options))
    folder = given[1] if given else "/tmp"
    reason = unusable(folder)
    if reason is None:
        return
    other = _python_folder() if given is None else None
    if other:
        environ["SPARK_SUBMIT_OPTS"] = f"{environ.get('SPARK_SUBMIT_OPTS', '')} -Djava.io.tmpdir={other}".strip()
        return
    raise StartupError(
        "Java's folder for temporary files cannot be written",
        where="java.io.tmpdir" if given else "java.io.tmpdir, which is /tmp unless it is set",
        found=reason,
        expected="a folder that can be written, with space",
        action="Make space or set the permissions there, or set TMPDIR to another folder.",
    )


def _python_folder() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None


def _require_master(master: str) -> None:
    # spark-submit knows these beginnings only.
    if not master or master == "yarn" or master.startswith(("local", "spark://", "k8s://")):
        return
    raise StartupError(
        "Spark does not know this master",
        where=f"spark.master={master}",
        found=master,
        expected="local[*], yarn, k8s://HOST:PORT or spark://HOST:PORT",
        action="Correct spark.master or --master.",
    )


def _require_local_folders(properties: Mapping[str, str], environ: Mapping[str, str]) -> None:
    where = "SPARK_LOCAL_DIRS" if environ.get("SPARK_LOCAL_DIRS") else "spark.local.dir"
    listed = environ.get("SPARK_LOCAL_DIRS") or properties.get("spark.local.dir") or ""
    folders: Sequence[str] = [folder.strip() for folder in listed.split(",") if folder.strip()]
    reasons = [unusable(folder) for folder in folders]
    # Spark goes on without the folders that fail, as long as one is left.
    if not folders or None in reasons:
        return
    raise StartupError(
        "No local directory of Spark can be written",
        where=f"{where}={listed}",
        found="; ".join(str(reason) for reason in reasons),
        expected="one or more folders, separated by commas, that can be written and have space",
        action=f"Make space or set the permissions there, or set {where} to other folders.",
    )


def _require_worker_python(python: str) -> None:
    if os.path.exists(python) and os.path.realpath(python) == os.path.realpath(sys.executable):
        return
    expected = f"Python {sys.version_info[0]}.{sys.version_info[1]}, the version of the driver ({sys.executable})"
    action = f"Unset PYSPARK_PYTHON, or set it to {sys.executable}"
    where, what = f"PYSPARK_PYTHON={python}", "The Python for Spark's workers does not start"
    try:
        status, said = answer([python, "-I", "-S", "-c", WHICH], os.environ, ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        found = getattr(error, "strerror", None) or f"no answer within {ANSWER_SECONDS:g} seconds"
        raise StartupError(what, where=where, found=found, expected=expected, action=action) from error
    version = (said.strip().splitlines() or [""])[-1]
    if status or not version:
        found = version or "no output"
        raise StartupError(what, where=where, found=found, expected=expected, action=action)
    if version != "{}.{}".format(*sys.version_info[:2]):
        what = "The Python for Spark's workers has another version than the driver's"
        raise StartupError(what, where=where, found=f"Python {version}", expected=expected, action=action)
