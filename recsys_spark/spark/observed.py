"""Numbers that Spark counted while it ran a plan."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Observation


def observed(observation: Observation) -> dict[str, Any] | None:
    """Return the numbers of an observation whose rows have been written or counted.

    Returns None where they were never counted: Spark leaves a part out of the plan when it finds that nothing comes of
    it, as of an empty file. PySpark's own ``get`` fails then.
    """
    java: Any = observation._jo
    return dict(observation.get) if java.getRow().length() else None
