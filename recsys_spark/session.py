"""The Spark session: defaults that the stages rely on, below whatever the user or spark-submit sets."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pyspark.sql import SparkSession

REQUIRED = {
    # Contract timestamps are instants; run_date and as_of are read as UTC midnights everywhere.
    "spark.sql.session.timeZone": "UTC",
    # Workers keep the encoder and the item matrix between tasks.
    "spark.python.worker.reuse": "true",
}
DEFAULTS = {
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.adaptive.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
}
LOCAL_DEFAULTS = {
    "spark.driver.memory": "4g",
    "spark.sql.shuffle.partitions": "8",
    "spark.ui.enabled": "false",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
}


def create_session(properties: Mapping[str, str] | None = None, app_name: str = "recsys-spark") -> SparkSession:
    """Return the active session or build one; without spark-submit's master it is local with all cores.

    ``properties`` are the config's ``[spark]`` section: above the defaults, below what spark-submit was given.
    """
    submitted = bool(os.environ.get("SPARK_ENV_LOADED")) or "SPARK_SUBMIT_OPTS" in os.environ
    builder = SparkSession.builder.appName(app_name)
    # Workers must run this interpreter, not whichever `python3` is first on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    chosen = dict(DEFAULTS)
    if not submitted:
        chosen |= {"spark.master": "local[*]", **LOCAL_DEFAULTS}
    for key, value in {**chosen, **(properties or {}), **REQUIRED}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
