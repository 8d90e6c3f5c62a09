"""Builds the Spark session with the defaults that the stages need; the user and spark-submit can override them."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from recsys_spark.spark.driver import master, parallelism, refuse_remote, require_context
from recsys_spark.spark.failures import first_cause
from recsys_spark.spark.gpus import only_where_used
from recsys_spark.spark.short_runs import DEFAULTED, java_options
from recsys_spark.spark.spark_home import spark_home_of
from recsys_spark.spark.start_failures import repeated, start_failure
from recsys_spark.spark.startup import CHANGED, SAFE_PATH, check_settings, check_start, prepare, runs_already

REQUIRED = {
    # Contract timestamps are instants; run_date and as_of are read as UTC midnights everywhere.
    "spark.sql.session.timeZone": "UTC",
    # Workers keep the encoder and the item matrix between tasks.
    "spark.python.worker.reuse": "true",
}
DEFAULTS = {
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
    # Threads of torch that wait for one another must not hold a core. Where another process wants a core too, the
    # thread that the others wait for would get none; docs/measured/training.md says what that costs and gains. A
    # Python worker reads the variable when it starts.
    "spark.executorEnv.OMP_WAIT_POLICY": "PASSIVE",
    # Python starts workers with `-m`, which would import from the working directory before the standard library.
    f"spark.executorEnv.{SAFE_PATH}": "1",
}
LOCAL_DEFAULTS = {
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
}
# The default of 200 costs seconds per shuffle on one machine.
LOCAL_SQL = {"spark.sql.shuffle.partitions": "8"}


def create_session(
    properties: Mapping[str, str] | None = None, app_name: str = "recsys-spark", *, n_bytes: int | None = None
) -> SparkSession:
    """Return the active session or build one; without spark-submit's master it is local with all cores.

    ``properties`` are the config's ``[spark]`` section: above the defaults, below what spark-submit was given.
    ``n_bytes`` is the size of the input, if it is known; for a small one, Java gets the options for short runs. Raises
    ConfigError where the session would be, or is, one without a SparkContext, and StartupError where none can start.
    """
    # Workers must run this interpreter, not whichever `python3` is first on the PATH.
    os.environ["PYSPARK_PYTHON"] = os.environ.get("PYSPARK_PYTHON") or sys.executable
    refuse_remote(properties or {})
    builder = SparkSession.builder
    submitted = _submitted()
    if submitted is None:
        builder = builder.appName(app_name)
    chosen = chosen_properties(properties or {}, submitted, n_bytes=n_bytes)
    for key, value in chosen.items():
        builder = builder.config(key, value)
    with starting({**(submitted or {}), **chosen}):
        session = require_context(builder.getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    return session


def chosen_properties(
    properties: Mapping[str, str], submitted: Mapping[str, str] | None, *, n_bytes: int | None = None
) -> dict[str, str]:
    """Return the properties that the builder sets: only those that spark-submit was not given, with one exception.

    The builder overrules spark-submit. The exception: under dynamic allocation GPUs are taken from the executors of all
    stages and given to the executors of the stages on GPUs.

    ``submitted`` holds the properties of spark-submit's command line and files; None without spark-submit.
    """
    chosen = dict(DEFAULTS)
    if submitted is None:
        chosen["spark.master"] = "local[*]"
    given = properties if submitted is None else submitted
    if given.get("spark.master", chosen.get("spark.master", "")).startswith("local"):
        chosen |= LOCAL_SQL
        if submitted is None:
            # On a cluster no executor would find a driver that calls itself localhost.
            chosen |= LOCAL_DEFAULTS | java_options(n_bytes, properties)
    if ours := [key for key in LOCAL_SQL if key in chosen and key not in {**properties, **(submitted or {})}]:
        chosen[DEFAULTED] = ",".join(ours)
    chosen |= properties
    submitted = submitted or {}
    chosen = {key: value for key, value in chosen.items() if key not in submitted} | REQUIRED
    return chosen | only_where_used({**submitted, **chosen})


@contextmanager
def starting(properties: Mapping[str, str]) -> Iterator[None]:
    """Check what a new session needs, and turn a start that fails into StartupError; leave a session that runs alone.

    Java inherits this process's environment, which is changed for that moment only.
    """
    if SparkContext._active_spark_context is not None:
        yield
        return
    before, own_java = dict(os.environ), not runs_already(os.environ)
    try:
        if own_java:
            prepare(os.environ, properties.get("spark.master", ""))
            check_start(os.environ)
        check_settings(properties, os.environ)
        yield
    except (Py4JError, PySparkRuntimeError, OSError) as error:
        where = f"Spark {properties.get('spark.master', '')}".strip()
        words = first_cause(str(error))
        if own_java and SparkContext._gateway is None:
            home = spark_home_of(os.environ) or ""
            options = [word for key, value in properties.items() for word in ("--conf", f"{key}={value}")]
            options += shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", "").removesuffix("pyspark-shell"))
            words = repeated([os.path.join(home, "bin", "spark-submit"), *options], os.environ) or words
        raise start_failure(words, where) from error
    finally:
        # PySpark keeps variables of its own there, so only these are put back.
        for name in CHANGED:
            os.environ.pop(name, None)
        os.environ.update({name: before[name] for name in CHANGED if name in before})


def _submitted() -> dict[str, str] | None:
    # Spark's PythonRunner sets this variable for the driver in every deploy mode; its JVM is running already.
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return None
    SparkContext._ensure_initialized()
    return dict(SparkConf().getAll())


MEMORY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
MIN_BLOCK, MAX_BLOCK = 4 * 2**20, 128 * 2**20


def block_bytes(spark: SparkSession) -> int:
    """Return the default size of an item block in bytes: 1/16 of an executor's memory per task, within bounds.

    A task holds a block in several forms at once: in the JVM, in the Arrow batch, and prepared for the product.
    """
    memory = bytes_of(
        spark.conf.get("spark.driver.memory" if is_local(spark) else "spark.executor.memory", "1g") or "1g"
    )
    tasks = max(1, executor_threads(spark) // task_threads(spark))
    return min(max(memory // tasks // 16, MIN_BLOCK), MAX_BLOCK)


def bytes_of(text: str) -> int:
    """Return a size in Spark's notation as bytes; a bare number of `spark.*.memory` is in MiB.

    >>> bytes_of("4g"), bytes_of("512m"), bytes_of("1024")
    (4294967296, 536870912, 1073741824)
    """
    text = text.strip().lower().removesuffix("b")
    unit = text[-1] if text[-1] in MEMORY_UNITS else "m"
    return int(float(text.removesuffix(unit)) * MEMORY_UNITS[unit])


def task_threads(spark: SparkSession) -> int:
    """Return the CPU threads of one task: what Spark set aside for it, so that tasks x threads = cores."""
    return int(spark.conf.get("spark.task.cpus", "1") or 1)


def is_local(spark: SparkSession) -> bool:
    """Return whether tasks run in the driver's process; executors of `local-cluster[...]` are other processes."""
    return master(spark).split("[")[0] == "local"


def executor_threads(spark: SparkSession) -> int:
    """Return the CPU threads of a task that runs alone on an executor, as training does: the executor's cores."""
    if is_local(spark):
        return parallelism(spark)
    cores = spark.conf.get("spark.executor.cores", None)
    if cores:
        return int(cores)
    # Where the property is unset, a standalone executor has all cores of its worker.
    executors = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
    return max(1, parallelism(spark) // max(1, int(executors)))


def shared_threads(spark: SparkSession, n_tasks: int) -> int:
    """Return the CPU threads of each of ``n_tasks`` that run at once on all cores, as several trainings do."""
    return threads_of_each(n_tasks, parallelism(spark), executor_threads(spark), task_threads(spark))


def threads_of_each(n_tasks: int, cores: int, executor_cores: int, task_cpus: int) -> int:
    """Return the cores of an executor divided by its tasks, which Spark deals out evenly.

    >>> [threads_of_each(n, cores=16, executor_cores=8, task_cpus=1) for n in (2, 3, 99)]
    [8, 4, 1]
    """
    executors = max(1, cores // executor_cores)
    together = min(math.ceil(n_tasks / executors), max(1, executor_cores // task_cpus))
    return max(1, executor_cores // together)


def task_slots(spark: SparkSession) -> int:
    """Return how many tasks run at once; under dynamic allocation at least the partitions of a shuffle."""
    slots = max(1, parallelism(spark) // task_threads(spark))
    if spark.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return max(slots, int(spark.conf.get("spark.sql.shuffle.partitions", "200") or "200"))
    return slots
