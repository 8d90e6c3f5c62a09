"""Holds what every step is given: one walk through the stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sections import Config
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.encoding.provision import Provided, provide
from recsys_spark.errors import EncoderError
from recsys_spark.schema import Table
from recsys_spark.spark.gpus import check_gpus, on_gpus
from recsys_spark.spark.session import is_local
from recsys_spark.store.areas import Area, Store
from recsys_spark.worker.devices import possible_devices


@dataclass(frozen=True)
class Hidden:
    """What a backtest hides from ingest, and which users it serves all the same."""

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
    run_backtest: Callable[[Context], None] | None = None
    """Runs the stages ingest to rerank in the context of a backtest. The pipeline sets it: steps do not import it."""

    @cached_property
    def encoder(self) -> tuple[EncoderSpec, Provided]:
        """The checked encoder of ``[encoder]`` and where the driver has it. Raises EncoderError, ConfigError.

        It is all that can be known of the model and its device before there are texts; nothing is loaded. It is found
        once, because large models take long to hash.
        """
        encoder = self.cfg.encoder
        check_gpus(self.spark, encoder.device)
        provided = provide(encoder, self.spark)
        spec = resolve_encoder(encoder, folder=provided.folder, on_gpu=on_gpus(self.spark, encoder.device))
        if spec.device == "cuda" and is_local(self.spark):
            possible_devices(spec.device, (), setting="encoder.device", error=EncoderError, own_machine=True)
        return spec, provided

    @cached_property
    def embeddings(self) -> DataFrame:
        """EMBEDDINGS of the encoder the embed stage used."""
        return self.store.embeddings(self.fact("embed", "encoder_id"))

    def walk_of(self, area: Area, as_of: datetime, hidden: Hidden) -> Context:
        """Return another walk of the same run. It keeps the encoder if it is known: large models take long to hash."""
        other = replace(self, area=area, as_of=as_of, hidden=hidden)
        if "encoder" in self.__dict__:
            other.__dict__["encoder"] = self.encoder
        return other

    def table(self, stage: str, table: Table) -> DataFrame:
        """Return a table of a finished stage of this walk."""
        return self.area.table(stage, table)

    def fact(self, stage: str, name: str) -> Any:
        """Return a fact of a finished stage's manifest."""
        return self.area.finished(stage).facts[name]


Facts = Mapping[str, Any]
