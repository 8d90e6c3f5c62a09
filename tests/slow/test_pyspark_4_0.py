"""The oldest supported PySpark, 4.0.x, in an environment of its own: every stage's tests and whole runs pass there too."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OLDEST = "pyspark==4.0.*"
OF_SPARK = {"pyspark", "py4j"}
"""Distributions that are not pinned here: they are what is varied."""
TESTS = ("tests/stages", "tests/e2e/test_pipeline.py", "tests/e2e/test_embed_runs.py", "tests/test_encoder_udf.py")
"""What calls Spark in every way that the project does; the other end-to-end tests vary the input, not the calls."""


def requirements() -> list[str]:
    """What the project and its tests need, PySpark apart; the project itself is taken from the checkout."""
    wanted = [Requirement(line) for line in requires("recsys-spark") or []]
    fits = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": "dev"})]
    return sorted({f"{r.name}{r.specifier}" for r in fits if canonicalize_name(r.name) not in OF_SPARK})


def constraints() -> str:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.split("==")[0].strip() not in OF_SPARK) + "\n"


@pytest.fixture(scope="module")
def python() -> Path:
    """Interpreter of an environment with PySpark 4.0.x, kept between runs while its requirements stay the same."""
    kept = Path(os.environ.get("RECSYS_TEST_ENVS", ROOT / "build" / "test-envs"))
    pins = "\n".join([OLDEST, *requirements(), constraints()])
    venv = kept / f"pyspark-4.0-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"
    interpreter, ready = venv / "bin" / "python", venv / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pinned = venv / "constraints.txt"
        pinned.write_text(constraints(), encoding="utf-8")
        install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(pinned)]
        subprocess.run([str(interpreter), *install, OLDEST, *requirements()], check=True, timeout=1200)
        ready.touch()
    return interpreter


def run(command: Path, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_", "PYTEST_"))}
    own = {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python)}
    return subprocess.run(
        [str(command), *arguments],
        cwd=ROOT,
        env=clean | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


def test_environment_has_the_oldest_supported_version(python: Path) -> None:
    code = "import pyspark, recsys_spark; print(pyspark.__version__, recsys_spark.__file__)"
    version, file = run(python, python, "-c", code).stdout.split()
    assert version.startswith("4.0.")
    assert Path(file).is_relative_to(ROOT / "recsys_spark")


def test_stages_and_whole_runs_pass_on_it(python: Path) -> None:
    own = ("-m", "not slow", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile")
    done = run(python, python, "-m", "pytest", *TESTS, *own)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_submit_options_are_known_to_it(python: Path, tmp_path: Path) -> None:
    """submit.sh passes --load-spark-defaults, which Spark 3 does not have."""
    job = tmp_path / "job.py"
    job.write_text("import pyspark; print('spark', pyspark.__version__)\n", encoding="utf-8")
    properties = ROOT / "conf" / "spark" / "local.conf"
    options = ["--master", "local[1]", "--properties-file", str(properties), "--load-spark-defaults"]
    done = run(python.parent / "spark-submit", python, *options, str(job))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "spark 4.0." in done.stdout
