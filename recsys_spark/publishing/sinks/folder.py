"""Sink `folder`: a Parquet partition of each date with its `_MANIFEST.json`, on any file system that Spark knows.

```
ROOT/run_date=D/           the lists and _MANIFEST.json, plain Parquet
ROOT/_staging/D-*/         lists that are being written
ROOT/_replaced/D/          the earlier lists, for as long as the new ones are moved in
```
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from recsys_spark import tables
from recsys_spark.errors import StoreError
from recsys_spark.spark.filesystem import FileSystem

MANIFEST = "_MANIFEST.json"


class FolderSink:
    """Published lists as folders below one root. A sink of other files inherits it and replaces `write` and `read`."""

    def __init__(self, spark: SparkSession, files: FileSystem, root: str) -> None:
        self.spark, self.files, self.root = spark, files, root

    def path(self, run_date: str) -> str:
        """Return the folder of a date."""
        return f"{self.root}/run_date={run_date}"

    def recover(self, run_date: str) -> None:
        """Put the earlier partition of a date back where a crash came before the new one was moved in."""
        target, replaced = self.path(run_date), f"{self.root}/_replaced/{run_date}"
        if self.files.exists(replaced) and not self.files.exists(target):
            self.files.rename(replaced, target)

    def write(self, lists: DataFrame, folder: str) -> None:
        """Write lists, RECOMMENDATIONS, to a folder that does not exist yet."""
        lists.write.parquet(folder)

    def read(self, folder: str) -> DataFrame:
        """Return the lists that `write` wrote to a folder."""
        return self.spark.read.parquet(folder)

    def publish(self, run_date: str, lists: DataFrame, manifest: Mapping[str, Any]) -> str:
        """Write the lists and then the manifest to a staging folder, move both in at once, and return the folder."""
        self.recover(run_date)
        target, staging = self.path(run_date), f"{self.root}/_staging"
        staged = f"{staging}/{run_date}-{uuid.uuid4().hex[:12]}"
        self.write(tables.RECOMMENDATIONS.conform(lists), staged)
        self.files.write(f"{staged}/{MANIFEST}", json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        replaced = f"{self.root}/_replaced/{run_date}"
        if self.files.exists(target):
            self.files.delete(replaced)
            self.files.rename(target, replaced)
        self.files.rename(staged, target)
        self.files.delete(replaced)
        for name in self.files.names(staging):
            if name.startswith(f"{run_date}-"):
                self.files.delete(f"{staging}/{name}")
        return target

    def published(self, run_date: str) -> DataFrame:
        """Return the lists of a date, RECOMMENDATIONS. Raises StoreError where there are none."""
        path = self.path(run_date)
        if not self.files.exists(f"{path}/{MANIFEST}"):
            raise StoreError(
                "Nothing was published for this date",
                where=path,
                found=f"no {MANIFEST}",
                expected="the manifest that `publish` writes last",
                action="Run the pipeline for this date.",
            )
        return self.read(path)

    def manifest(self, run_date: str) -> dict[str, Any] | None:
        """Return the manifest of a date, or None."""
        path = f"{self.path(run_date)}/{MANIFEST}"
        return json.loads(self.files.read(path)) if self.files.exists(path) else None
