"""Files and mappings for the tests of sources, and the two ways in which reading them ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.sources import Mapped, read_table
from recsys_spark.schema import Table

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def csv(folder: Path, text: str, name: str = "file.csv", **source: Any) -> dict[str, Any]:
    """Write a CSV file and return the source that reads it."""
    (folder / name).write_text(text, encoding="utf-8")
    return {"format": "csv", "path": str(folder / name), "options": {"header": "true"}, **source}


def read(spark: SparkSession, table: Table, *sources: Mapping[str, Any]) -> Mapped:
    """Read and map the sources of a contract table, as of NOW."""
    mapped = [Source.model_validate(source) for source in sources]
    return read_table(spark, table, mapped, where=f"sources.{table.name}", now=NOW, stage=in_memory)


def in_memory(name: str, rows: DataFrame) -> DataFrame:
    """Stage rows in memory."""
    kept = rows.persist()
    kept.count()
    return kept


def refused(spark: SparkSession, table: Table, *sources: Mapping[str, Any]) -> SourceError:
    """Return the error that the sources of a contract table are refused with."""
    with pytest.raises(SourceError) as caught:
        read(spark, table, *sources)
    return caught.value
