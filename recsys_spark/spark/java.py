"""Finds the Java that Spark will start and refuses one that is missing or too old. Imports nothing of Spark."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping

from recsys_spark.errors import StartupError
from recsys_spark.spark.questions import answer

MIN_JAVA = 17
ANSWER_SECONDS = 15.0
EXPECTED = f"Java {MIN_JAVA} or later, a JDK or a JRE"
# A class file of Java N has version N + 44; a Java that is too old for Spark's launcher says which it can read.
_CLASS_FILE = re.compile(r"class file versions? up to (\d+)")
_VERSION = re.compile(r'version "([^"]+)"|^(?:openjdk|java) (\d[\w.+-]*)', re.MULTILINE)
_RELEASE = re.compile(r'^JAVA_VERSION="?([^"\n]+)', re.MULTILINE)
# Spark reads this file before it looks for Java, so JAVA_HOME may be another one by then.
_SETS_JAVA = re.compile(r"\b(JAVA_HOME|PATH)=")


def require_java(environ: Mapping[str, str], spark_home: str | None = None, seconds: float = ANSWER_SECONDS) -> None:
    """Raise StartupError where the Java that Spark would start is missing, does not run, or is too old.

    A `spark-env.sh` that sets JAVA_HOME or PATH decides for itself; then nothing is checked.
    """
    if _spark_env_decides(environ, spark_home):
        return
    home = environ.get("JAVA_HOME")
    executable = os.path.join(home, "bin", "java") if home else shutil.which("java", path=environ.get("PATH"))
    if executable is None or not os.access(executable, os.X_OK) or os.path.isdir(executable):
        raise _missing(home, executable)
    text = _release_of(executable) or _answer_of(executable, environ, seconds)
    major = major_of(text)
    if major is not None and major < MIN_JAVA:
        raise _refused("This Java is too old for Spark", executable, home, f"Java {major} ({text})")


def major_of(version: str) -> int | None:
    """Return the feature number of a Java version; None where the text begins with no number.

    >>> [major_of(text) for text in ("1.8.0_392", "11", "17.0.15", "25-ea", "unknown")]
    [8, 11, 17, 25, None]
    """
    found = re.match(r"(?:1\.)?(\d+)", version)
    return int(found[1]) if found else None


def suggestion(environ: Mapping[str, str]) -> str:
    """Return what to do: the command that chooses a fitting Java of this machine, else the advice to install one."""
    homes = [
        *sorted(glob.glob("/usr/lib/jvm/*")),
        *sorted(glob.glob(os.path.expanduser("~/.sdkman/candidates/java/*"))),
    ]
    on_path = shutil.which("java", path=environ.get("PATH"))
    if on_path:
        homes.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(on_path))))
    for home in homes:
        executable = os.path.join(home, "bin", "java")
        major = major_of(_release_of(executable) or "") if os.access(executable, os.X_OK) else None
        if major is not None and major >= MIN_JAVA:
            return f"This machine has Java {major}: export JAVA_HOME={home}"
    return f"Install Java {MIN_JAVA}, such as openjdk-{MIN_JAVA}-jre-headless, and set JAVA_HOME to its folder."


def _spark_env_decides(environ: Mapping[str, str], spark_home: str | None) -> bool:
    folder = environ.get("SPARK_CONF_DIR") or (os.path.join(spark_home, "conf") if spark_home else None)
    try:
        with open(os.path.join(folder or "", "spark-env.sh"), encoding="utf-8", errors="replace") as file:
            return bool(_SETS_JAVA.search(file.read()))
    except OSError:
        return False


def _release_of(executable: str) -> str | None:
    # `release` stands beside bin/ in a JDK, and above jre/ in a Java 8. Reading it is free; asking Java is not.
    folder = os.path.dirname(os.path.dirname(os.path.realpath(executable)))
    for place in (folder, os.path.dirname(folder)) if os.path.basename(folder) == "jre" else (folder,):
        try:
            with open(os.path.join(place, "release"), encoding="utf-8", errors="replace") as file:
                found = _RELEASE.search(file.read())
        except OSError:
            continue
        if found:
            return found[1]
    return None


def _answer_of(executable: str, environ: Mapping[str, str], seconds: float) -> str:
    home = environ.get("JAVA_HOME")
    try:
        status, said = answer([executable, "-version"], environ, seconds)
    except subprocess.TimeoutExpired as error:
        found = f"no answer to `java -version` within {seconds:g} seconds"
        raise _refused("Java does not answer", executable, home, found) from error
    except OSError as error:
        raise _refused("Java does not start", executable, home, error.strerror) from error
    version, class_file = _VERSION.search(said), _CLASS_FILE.search(said)
    if version:
        return version[1] or version[2]
    if class_file:
        return str(int(class_file[1]) - 44)
    if status:
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("Picked up")]
        first = lines[0] if lines else "no output"
        raise _refused("Java does not start", executable, home, f"exit status {status}: {first[:300]}")
    return said


def _missing(home: str | None, executable: str | None) -> StartupError:
    if not home:
        found = "JAVA_HOME is not set, and there is no `java` on the PATH"
        return StartupError(
            "Java is missing", where="PATH", found=found, expected=EXPECTED, action=suggestion(os.environ)
        )
    reason = "cannot be executed" if executable and os.path.exists(executable) else "does not exist"
    return StartupError(
        "JAVA_HOME does not hold a Java",
        where=f"JAVA_HOME={home}",
        found=f"{executable} {reason}",
        expected=f"the folder above bin/java of {EXPECTED}",
        action=suggestion(os.environ),
    )


def _refused(what: str, executable: str, home: str | None, found: object) -> StartupError:
    where = f"{executable}, by JAVA_HOME" if home else f"{executable}, by PATH"
    return StartupError(what, where=where, found=found, expected=EXPECTED, action=suggestion(os.environ))


def main() -> int:
    """Check the Java of this environment, for `make install`; return the exit status."""
    try:
        require_java(os.environ)
    except StartupError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
