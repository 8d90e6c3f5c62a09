"""The oldest supported PySpark, 4.0.x, put before the other packages of this environment.

Whole runs pass there, and so do the tests of the code that calls Spark in unusual ways.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OLDEST = "pyspark==4.0.*"
TESTS = (
    "tests/e2e/test_pipeline.py",
    "tests/evaluation/test_baselines.py",
    "tests/encoding/test_embed.py",
    "tests/scoring/test_score_plan.py",
    "tests/encoding/test_udf.py",
    "tests/ingest/test_accounts.py",
    "tests/ingest/test_json.py",
)
"""Tests that call Spark in every way that the project does; ingest, profiles and evaluate are in whole runs.

The other tests vary the input, not the calls.
"""


@pytest.fixture(scope="module")
def site() -> Path:
    """A folder with PySpark 4.0.x and its py4j, kept between runs; it goes before the packages of this environment."""
    kept = Path(os.environ.get("RECSYS_TEST_ENVS", ROOT / "build" / "test-envs"))
    site, ready = kept / "pyspark-4.0", kept / "pyspark-4.0-is-ready"
    if not ready.exists():
        shutil.rmtree(site, ignore_errors=True)
        install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(site), OLDEST]
        subprocess.run([sys.executable, *install], check=True, timeout=1200)
        ready.touch()
    return site


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_", "PYTEST_"))}
    own = {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "SPARK_HOME": str(site / "pyspark")}
    own |= {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    return subprocess.run(command, cwd=ROOT, env=clean | own, capture_output=True, text=True, check=False, timeout=1500)


def test_environment_has_the_oldest_supported_version(site: Path) -> None:
    code = "import pyspark, recsys_spark; print(pyspark.__version__, recsys_spark.__file__)"
    version, file = run(site, sys.executable, "-c", code).stdout.split()
    assert version.startswith("4.0.")
    assert Path(file).is_relative_to(ROOT / "recsys_spark")


def test_stages_and_whole_runs_pass_on_it(site: Path) -> None:
    own = ("-m", "not slow", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile")
    done = run(site, sys.executable, "-m", "pytest", *TESTS, *own)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_submit_options_are_known_to_it(site: Path, tmp_path: Path) -> None:
    """submit.sh passes --load-spark-defaults, which Spark 3 does not have."""
    job = tmp_path / "job.py"
    job.write_text("import pyspark; print('spark', pyspark.__version__)\n", encoding="utf-8")
    properties = ROOT / "conf" / "spark" / "local.conf"
    options = ["--master", "local[1]", "--properties-file", str(properties), "--load-spark-defaults"]
    done = run(site, str(site / "pyspark" / "bin" / "spark-submit"), *options, str(job))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "spark 4.0." in done.stdout
