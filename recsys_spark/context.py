"""One walk through the stages: what every step is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys_spark import tables
from recsys_spark.config import Config
from recsys_spark.store import Area, Attempt, Store


@dataclass(frozen=True)
class Hidden:
    """What a backtest hides from ingest, and whom it serves all the same."""

    label: str
    """Names the protocol and cut; part of the ingest stage's key."""
    held_out: DataFrame | None
    """(user_id, item_id) pairs dropped from the interactions."""
    users: DataFrame
    """(user_id) of the truth: served even when nothing was known of them."""


@dataclass(frozen=True)
class Context:
    """One walk through the stages."""

    spark: SparkSession
    cfg: Config
    store: Store
    area: Area
    run_date: str
    as_of: datetime
    now: datetime
    hidden: Hidden | None = None

    @cached_property
    def embeddings(self) -> DataFrame:
        """EMBEDDINGS of the encoder the embed stage used."""
        return self.store.embeddings(self.fact("embed", "encoder_id"))

    def table(self, stage: str, table: tables.Table) -> DataFrame:
        """A table of a finished stage of this walk."""
        return self.area.table(stage, table)

    def fact(self, stage: str, name: str) -> Any:
        """A fact of a finished stage's manifest."""
        return self.area.finished(stage).facts[name]


Facts = Mapping[str, Any]
Step = Callable[[Context, Attempt], Facts]
