"""Appends, reads, compacts and drops the vectors of texts that all runs share. Knows what is in STORE/embeddings.

```
encoder_id=E/batch-TIME-TOKEN/rejected=false/   EMBEDDINGS, plain Parquet
encoder_id=E/batch-TIME-TOKEN/rejected=true/    the texts of the same encoding that have no vector, with the reason
encoder_id=E/batch-TIME-TOKEN/_BATCH.json       the manifest, written last: without it nobody reads the batch
```
Nothing is changed in place. A compaction is one more batch, whose manifest names the batches that it replaces. Before
that file exists, readers take the old batches; after it, they take the new one. Replaced batches and what a crash
left stay for GRACE, so that a reader who has listed files finds them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.errors import StoreError
from recsys_spark.schema import Table
from recsys_spark.spark.failures import JavaFailure
from recsys_spark.spark.filesystem import FileStatus, FileSystem
from recsys_spark.store.batches import Batch, begun, live, name_at, split

GRACE = timedelta(days=1)
"""How long replaced batches and unfinished ones stay; no stage and no write of a batch may take longer."""
FILE_BYTES, ROW_GROUP_BYTES = 128 * 2**20, 16 * 2**20
"""Sizes in a compacted batch. Tasks share out row groups: one of 128 MiB would keep 15 of 16 cores idle."""
VECTORS, REJECTED, MANIFEST = "rejected=false", "rejected=true", "_BATCH.json"

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Appended:
    """The result of an append."""

    n_vectors: int
    rejected: DataFrame
    """ENCODED of the texts without a vector, read from disk. Good for GRACE."""


@dataclass(frozen=True)
class Snapshot:
    """The batches of an encoder as they were at one moment; all reads through it see the same vectors."""

    vectors: Vectors
    encoder_id: str
    batches: tuple[Batch, ...]
    """The batches that count; replaced ones are not among them."""

    def read(self, batches: Sequence[Batch] | None = None) -> DataFrame:
        """Return EMBEDDINGS, each text once, of all batches or of those given."""
        settled, doubtful = split(self.batches if batches is None else batches)
        frames = [self._files(settled)] if settled or not doubtful else []
        if doubtful:
            # Two runs at once may have encoded the same text, with other batch-mates: equal up to the last bits. The
            # same one is taken by every reader.
            keys = tables.EMBEDDINGS.key
            frames.append(self._files(doubtful).groupBy(*keys).agg(F.min("vector").alias("vector")))
        return frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])

    def files(self) -> list[FileStatus]:
        """Return the Parquet files of the vectors."""
        found = [f for batch in self.batches for f in self.vectors.files.matches(self._path(batch))]
        return [file for file in found if file.path.endswith(".parquet")]

    def _files(self, batches: Sequence[Batch]) -> DataFrame:
        return self.vectors.table(tables.EMBEDDINGS, *(self._path(batch) for batch in batches))

    def _path(self, batch: Batch) -> str:
        return f"{self.vectors.folder(self.encoder_id)}/{batch.name}/{VECTORS}"


class Vectors:
    """The embeddings of all encoders."""

    def __init__(self, spark: SparkSession, files: FileSystem, root: str, clock: Clock = lambda: datetime.now(UTC)):
        self.spark, self.files, self.root, self.clock = spark, files, root, clock

    def folder(self, encoder_id: str) -> str:
        """Return where the batches of an encoder are."""
        return f"{self.root}/encoder_id={encoder_id}"

    def encoders(self) -> list[str]:
        """Return the encoders that have a folder, sorted."""
        names = self.files.names(self.root)
        return [name.removeprefix("encoder_id=") for name in names if name.startswith("encoder_id=")]

    def snapshot(self, encoder_id: str) -> Snapshot:
        """Return the batches of an encoder as they are now; none before the first."""
        return Snapshot(self, encoder_id, live(self._manifests(encoder_id)))

    def append(self, encoder_id: str, encoded: DataFrame, *, known: Snapshot) -> Appended:
        """Add the rows of ENCODED that have a vector as one batch, all or nothing; return the rows that have none.

        ``encoded`` is evaluated once. It holds each text once and no text of ``known``, which were left out when the
        texts were chosen.
        """
        name = self._begin()
        folder = f"{self.folder(encoder_id)}/{name}"
        rows = tables.ENCODED.conform(encoded).withColumn("rejected", F.col("vector").isNull())
        rows.write.partitionBy("rejected").parquet(folder)
        # Spark makes no folder for a side without rows.
        paths = {part: [f"{folder}/{part}"] * self.files.exists(f"{folder}/{part}") for part in (VECTORS, REJECTED)}
        n = _count(self.table(tables.EMBEDDINGS, *paths[VECTORS]))
        if n:
            knew = tuple(batch.name for batch in known.batches)
            self._finish(encoder_id, Batch(name, n, self.clock().isoformat(), knew=knew))
        elif not paths[REJECTED]:
            self.files.delete(folder)
        return Appended(n, self.table(tables.ENCODED, *paths[REJECTED]))

    def compact(self, encoder_id: str) -> bool:
        """Make one sorted batch of well-sized files of all batches; return whether there was need to."""
        snapshot = self.snapshot(encoder_id)
        if needed := _scattered(snapshot):
            self.rewrite(snapshot, snapshot.read())
        self.sweep(encoder_id)
        return needed

    def rewrite(
        self,
        snapshot: Snapshot,
        rows: DataFrame,
        *,
        used_since: datetime | None = None,
        confirm: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Replace the batches of a snapshot by one of ``rows``: all of its vectors, or those used since a time.

        ``confirm`` is called when all is written and nothing is replaced yet. Where it returns False, all stays as it
        was.
        """
        name, n_bytes = self._begin(), sum(file.n_bytes for file in snapshot.files())
        folder = f"{self.folder(snapshot.encoder_id)}/{name}"
        ordered = rows.repartitionByRange(max(1, -(-n_bytes // FILE_BYTES)), "content_hash")
        ordered = ordered.select(*tables.EMBEDDINGS.names).sortWithinPartitions("content_hash")
        ordered.write.option("parquet.block.size", str(ROW_GROUP_BYTES)).parquet(f"{folder}/{VECTORS}")
        n = _count(self.table(tables.EMBEDDINGS, f"{folder}/{VECTORS}"))
        if not confirm():
            self.files.delete(folder)
            return False
        sources = tuple(batch.name for batch in snapshot.batches)
        since = [batch.used_since for batch in snapshot.batches if batch.used_since is not None]
        since += [used_since.isoformat()] if used_since else []
        latest = max(since, default=None)
        self._finish(snapshot.encoder_id, Batch(name, n, self.clock().isoformat(), (), sources, latest))
        return True

    def drop(self, encoder_id: str) -> None:
        """Remove every batch of an encoder."""
        for batch in self._manifests(encoder_id):
            self._delete(encoder_id, batch.name)
        self.sweep(encoder_id)

    def sweep(self, encoder_id: str) -> None:
        """Remove what was replaced, or begun and not finished, more than GRACE ago; then the folder if it is empty."""
        before = self.clock() - GRACE
        there = {batch.name: batch for batch in self._manifests(encoder_id)}
        replaced = {name for batch in there.values() if batch.written < before for name in batch.sources}
        unfinished = [name for name in self.files.names(self.folder(encoder_id)) if name not in there]
        # While its manifest is there a batch keeps its sources out of sight, so it goes after them.
        while gone := [n for n in replaced & there.keys() if there.keys().isdisjoint(there[n].sources)]:
            for name in sorted(gone):
                self._delete(encoder_id, name)
                del there[name]
        for name in unfinished:
            if self._last_touched(encoder_id, name) < before:
                self._delete(encoder_id, name)
        if not self.files.names(self.folder(encoder_id)):
            self.files.delete(self.folder(encoder_id))

    def young(self, encoder_id: str) -> bool:
        """Return whether an append to this encoder was begun or finished within GRACE: its run may still go on."""
        before = self.clock() - GRACE
        there = {batch.name: batch for batch in self._manifests(encoder_id)}
        appends = [batch for batch in there.values() if not batch.sources]
        unfinished = [name for name in self.files.names(self.folder(encoder_id)) if name not in there]
        return any(batch.written >= before for batch in appends) or any(
            self._last_touched(encoder_id, name) >= before for name in unfinished
        )

    def table(self, table: Table, *paths: str) -> DataFrame:
        """Return a table read from some folders; empty where none is given."""
        read = self.spark.read.schema(table.schema)
        return read.parquet(*paths) if paths else self.spark.createDataFrame([], table.schema)

    def _manifests(self, encoder_id: str) -> list[Batch]:
        """Return the manifests of all batches that are there, replaced or not, by name."""
        found = []
        for file in self.files.matches(f"{self.folder(encoder_id)}/batch-*/{MANIFEST}"):
            try:
                found.append(Batch.from_json(self.files.read(file.path)))
            except JavaFailure:
                # Swept since it was listed.
                if self.files.exists(file.path):
                    raise
            except (ValueError, TypeError, KeyError) as error:
                raise StoreError(
                    "The manifest of a batch of embeddings cannot be read",
                    where=file.path,
                    found=error,
                    expected="the JSON that a finished batch writes",
                    action="Delete the batch's folder; its texts are encoded again by the next run.",
                ) from error
        return found

    def _begin(self) -> str:
        return name_at(self.clock(), uuid.uuid4().hex[:8])

    def _finish(self, encoder_id: str, batch: Batch) -> None:
        self.files.write(f"{self.folder(encoder_id)}/{batch.name}/{MANIFEST}", batch.to_json())

    def _delete(self, encoder_id: str, name: str) -> None:
        # The manifest first: with it, half a folder would be read.
        self.files.delete(f"{self.folder(encoder_id)}/{name}/{MANIFEST}")
        self.files.delete(f"{self.folder(encoder_id)}/{name}")

    def _last_touched(self, encoder_id: str, name: str) -> datetime:
        modified = [file.modified_ms / 1000 for file in self.files.matches(f"{self.folder(encoder_id)}/{name}")]
        latest = datetime.fromtimestamp(max(modified, default=0), UTC)
        return max(latest, begun(name) or latest)


def _scattered(snapshot: Snapshot) -> bool:
    """Return whether there is more than one batch, or one append with more files than it needs."""
    if len(snapshot.batches) != 1 or snapshot.batches[0].sources:
        return len(snapshot.batches) > 1
    sizes = [file.n_bytes for file in snapshot.files()]
    return len(sizes) > max(1, -(-sum(sizes) // FILE_BYTES))


def _count(rows: DataFrame) -> int:
    # From the files' footers, not from another scan.
    return rows.select(F.lit(1)).count()
