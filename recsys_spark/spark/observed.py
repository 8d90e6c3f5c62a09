"""Numbers that Spark counted while it ran a plan."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Observation

from recsys_spark.spark.java_calls import java_class

_WAIT_MS = 600_000


def observed(observation: Observation) -> dict[str, Any] | None:
    """Return the numbers of an observation whose rows have been written or counted.

    Returns None where they were never counted: Spark leaves a part out of the plan when it finds that nothing comes of
    it, as of an empty file. There PySpark's own ``get`` fails (Spark 4.1 and later) or never returns (Spark 4.0).
    """
    java: Any = observation._jo
    future = java.future()
    if not future.isCompleted():
        # The numbers arrive by the listener bus. Once it is empty, numbers that did not arrive never will.
        jvm: Any = observation._jvm
        java_class(jvm, "org.apache.spark.SparkContext").getOrCreate().listenerBus().waitUntilEmpty(_WAIT_MS)
        if not future.isCompleted():
            return None
    counted = future.value().get().get().size()  # of a row, or of a map in Spark 4.0
    return dict(observation.get) if counted else None
