"""Where everything in the store is: areas, attempts, manifests, reports; embeddings and sinks know their own folders.

```
STORE/recommendations/run_date=D/        published lists and _MANIFEST.json, plain Parquet
STORE/reports/run_date=D.html
STORE/tuning/run_date=D/KEY/NUMBER.json  configurations that tune has tried, a file per round, never changed
STORE/embeddings/                        see embeddings.py
STORE/runs/run_date=D/AREA/STAGE.json    the stage's manifest, written last
STORE/runs/run_date=D/AREA/STAGE/attempt-*/TABLE/
```
An area is one walk through the stages: ``main``, or ``backtest`` at an earlier as_of. A table is read through the
manifest of the stage that wrote it, so a crashed attempt is never seen.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.errors import StoreError
from recsys_spark.publishing.sinks.registry import SINKS
from recsys_spark.publishing.sinks.sink import Sink
from recsys_spark.schema import Table
from recsys_spark.spark.failures import SparkFailure
from recsys_spark.spark.filesystem import FileSystem
from recsys_spark.spark.footers import n_written
from recsys_spark.spark.unreachable import unreachable
from recsys_spark.store.embeddings import Vectors


@dataclass(frozen=True)
class StageManifest:
    """The record of a finished stage."""

    stage: str
    key: str
    """Changes when anything the stage depends on changes; a stage with the same key is not run again."""
    attempt: str
    """Folder of its tables and files."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows per table."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Other facts that the stage records: ids, counts, losses."""
    seconds: float = 0.0
    finished_at: str | None = None
    """ISO time at which it was written."""


class Store:
    """The root folder of all runs."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark, self.root, self.files = spark, root.rstrip("/"), FileSystem(spark)
        self.lists: Sink = SINKS["folder"](spark, self.files, f"{self.root}/recommendations")
        self.vectors = Vectors(spark, self.files, f"{self.root}/embeddings")

    def check(self) -> None:
        """Raise ConfigError or StoreError where the root folder cannot be opened, before anything is written."""
        try:
            self.files.exists(self.root)
        except SparkFailure as error:
            raise unreachable(error, self.root, where="run.store", otherwise=StoreError) from error

    def area(self, run_date: str, name: str = "main") -> Area:
        """Return one walk through the stages."""
        return Area(self, f"{self.root}/runs/run_date={run_date}/{name}")

    def areas(self) -> list[Area]:
        """Return every walk that was begun, of any date."""
        return [
            self.area(date, name)
            for date in self.run_dates()
            for name in self.files.names(f"{self.root}/runs/run_date={date}")
        ]

    def run_dates(self) -> list[str]:
        """Return every run date that was begun, ascending."""
        names = self.files.names(f"{self.root}/runs")
        return [name.removeprefix("run_date=") for name in names if name.startswith("run_date=")]

    def embeddings(self, encoder_id: str) -> DataFrame:
        """Return all vectors of an encoder, EMBEDDINGS; empty before the first."""
        return self.vectors.snapshot(encoder_id).read()

    def has_embeddings(self, encoder_id: str, of: Area | None = None) -> bool:
        """Return whether an encoder has vectors, and no later vacuum can have dropped vectors of a walk."""
        batches = self.vectors.snapshot(encoder_id).batches
        since = max((datetime.fromisoformat(b.used_since) for b in batches if b.used_since), default=None)
        used = of.used_at() if of else None
        return bool(batches) and (since is None or used is None or used >= since)

    def write_report(self, run_date: str, html: str) -> str:
        """Write the report of a date and return its path."""
        path = f"{self.root}/reports/run_date={run_date}.html"
        self.files.write(path, html.encode())
        return path

    def tuning_path(self, run_date: str, key: str) -> str:
        """Return where the rounds of a tuning are."""
        return f"{self.root}/tuning/run_date={run_date}/{key}"

    def tuning_rounds(self, run_date: str, key: str) -> list[tuple[str, bytes]]:
        """Return names and contents of the rounds of a tuning, in the order of their names."""
        folder = self.tuning_path(run_date, key)
        names = [name for name in self.files.names(folder) if name.endswith(".json")]
        return [(name, self.files.read(f"{folder}/{name}")) for name in names]

    def write_tuning_round(self, run_date: str, key: str, name: str, content: bytes) -> None:
        """Add a round to a tuning."""
        self.files.write(f"{self.tuning_path(run_date, key)}/{name}", content)


class Area:
    """The stages of one walk: their manifests, tables and files."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder

    def manifest(self, stage: str) -> StageManifest | None:
        """Return the manifest of a finished stage, or None."""
        path = f"{self.folder}/{stage}.json"
        if not self.store.files.exists(path):
            return None
        try:
            return StageManifest(**json.loads(self.store.files.read(path)))
        except (ValueError, TypeError) as error:
            raise StoreError(
                "A stage manifest cannot be read",
                where=path,
                found=error,
                expected="the JSON that a finished stage writes",
                action="Delete it and run the stage again.",
            ) from error

    def finished(self, stage: str) -> StageManifest:
        """Return the manifest of a stage that must have run. Raises StoreError."""
        found = self.manifest(stage)
        if found is None:
            raise StoreError(
                f"The stage `{stage}` has not finished yet",
                where=self.folder,
                found=f"no {stage}.json",
                expected="the manifest that a finished stage writes",
                action=f"Run `{stage}` (or `pipeline`) first.",
            )
        return found

    def table(self, stage: str, table: Table) -> DataFrame:
        """Return a table of the attempt that the stage's manifest names."""
        return self._read(self.path(stage, table), table)

    def path(self, stage: str, table: Table) -> str:
        """Return where a table of a finished stage is, by its manifest."""
        return f"{self.finished(stage).attempt}/{table.name}"

    def used_at(self) -> datetime | None:
        """Return when this walk last used embeddings, by its manifests of profiles and embed; None if not known."""
        found = [self.manifest(stage) for stage in ("profiles", "embed")]
        times = [datetime.fromisoformat(m.finished_at) for m in found if m is not None and m.finished_at is not None]
        return max(times, default=None)

    def file(self, stage: str, name: str) -> bytes:
        """Return a file that the stage wrote."""
        return self.store.files.read(f"{self.finished(stage).attempt}/{name}")

    def attempt(self, stage: str, key: str = "") -> Attempt:
        """Return a new folder for a stage's output with this ``key``; nothing reads it before its commit."""
        return Attempt(self, stage, f"{self.folder}/{stage}/attempt-{uuid.uuid4().hex[:12]}", key)

    def _read(self, path: str, table: Table) -> DataFrame:
        return self.store.spark.read.schema(table.schema).parquet(path)


class Attempt:
    """One try at a stage."""

    def __init__(self, area: Area, stage: str, folder: str, key: str) -> None:
        self.area, self.stage, self.folder, self.key = area, stage, folder, key
        self.rows: dict[str, int] = {}

    def write(self, table: Table, df: DataFrame) -> DataFrame:
        """Write a table and return it as read back from disk, so that nothing is computed twice."""
        path = f"{self.folder}/{table.name}"
        table.conform(df).write.parquet(path)
        written = self.area._read(path, table)
        n_rows = n_written(self.area.store.spark, path)
        # Spark counts from the footers as well.
        self.rows[table.name] = written.select(F.lit(1)).count() if n_rows is None else n_rows
        return written

    def stage_source(self, name: str, df: DataFrame) -> DataFrame:
        """Write what was read of a source, and return it as read back. :meth:`drop_sources` removes it again."""
        path = f"{self.folder}/sources/{name}"
        # Ids hardly repeat within a file: dictionaries of them cost a seventh of the time and are given up at the end.
        df.write.option("parquet.enable.dictionary", "false").parquet(path)
        return self.area.store.spark.read.schema(df.schema).parquet(path)

    def drop_sources(self) -> None:
        """Remove what :meth:`stage_source` wrote."""
        self.area.store.files.delete(f"{self.folder}/sources")

    @property
    def checkpoint(self) -> str:
        """Return the address of a file for unfinished work. The next attempt finds it, and a commit drops it."""
        return self.area.store.files.qualified(f"{self.area.folder}/{self.stage}/checkpoint.safetensors")

    def write_file(self, name: str, content: bytes) -> None:
        """Write a small file next to the tables."""
        self.area.store.files.write(f"{self.folder}/{name}", content)

    def commit(self, facts: Mapping[str, Any], seconds: float) -> StageManifest:
        """Make the attempt the stage's result and drop earlier and crashed attempts."""
        manifest = StageManifest(
            self.stage, self.key, self.folder, self.rows, dict(facts), seconds, datetime.now(UTC).isoformat()
        )
        files, folder = self.area.store.files, self.area.folder
        files.write(f"{folder}/{self.stage}.json", json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode())
        mine = self.folder.rsplit("/", 1)[1]
        for name in files.names(f"{folder}/{self.stage}"):
            if name != mine:
                files.delete(f"{folder}/{self.stage}/{name}")
        return manifest
