"""Keeps the embeddings small: drops the vectors of texts that no profile uses any more, and compacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from recsys_spark.schema import STRING
from recsys_spark.store.areas import Area, Store
from recsys_spark.store.embeddings import GRACE, Snapshot
from recsys_spark.tables import ITEM_PROFILES, USER_PROFILES


@dataclass(frozen=True)
class Vacuumed:
    """What a vacuum found of one encoder."""

    encoder_id: str
    n_vectors: int
    n_unused: int
    n_bytes: int
    """Size of all vectors of the encoder."""
    done: bool
    """False where nothing was dropped: in a dry run, or because a run wrote profiles or began to use the encoder."""

    @property
    def unused_bytes(self) -> int:
        """Estimated bytes of the unused vectors; all vectors of an encoder are equally long."""
        return self.n_bytes * self.n_unused // max(1, self.n_vectors)


@dataclass(frozen=True)
class Walk:
    """A walk that used embeddings lately."""

    profiles: tuple[str, str]
    """Where its profiles are."""
    encoder_id: str | None
    """The encoder whose vectors it used. None where its embed stage has not finished since: it may be any encoder."""


def vacuum(store: Store, days: float, *, dry_run: bool = False) -> list[Vacuumed]:
    """Drop the vectors of texts that no profile of a walk of the last ``days`` has, encoder by encoder; then compact.

    The age of a walk is the age of its manifests of profiles and embed: a backfill of last year's dates that ran last
    night used its texts last night. Appends of the last GRACE stay in any case.
    """
    return [_vacuum(store, encoder_id, days, dry_run) for encoder_id in store.vectors.encoders()]


def _vacuum(store: Store, encoder_id: str, days: float, dry_run: bool) -> Vacuumed:
    vectors, since = store.vectors, store.vectors.clock() - timedelta(days=days)
    # Before the walks: who appended to one of these batches had written profiles by then.
    snapshot = vectors.snapshot(encoder_id)
    walks = recent_walks(store, since)
    kept = _used(store, encoder_id, walks).unionByName(_young(snapshot)).distinct()
    found = snapshot.read()
    n, n_kept = found.count(), found.join(kept, "content_hash", "left_semi").count()
    n_bytes, done = sum(file.n_bytes for file in snapshot.files()), not dry_run

    def same_walks() -> bool:
        # Whoever wrote profiles meanwhile may have found a text among these batches that nobody had used for long.
        return recent_walks(store, since) == walks

    if dry_run:
        pass
    elif n == n_kept:
        vectors.compact(encoder_id)
    elif n_kept:
        rows = found.join(kept, "content_hash", "left_semi")
        done = vectors.rewrite(snapshot, rows, used_since=since, confirm=same_walks)
        vectors.sweep(encoder_id)
    elif done := not vectors.young(encoder_id) and same_walks():
        vectors.drop(encoder_id)
    return Vacuumed(encoder_id, n, n - n_kept, n_bytes, done)


def recent_walks(store: Store, since: datetime) -> list[Walk]:
    """Return the walks that used embeddings at or after a time. Raises StoreError where a manifest cannot be read."""
    found = [(area, area.used_at()) for area in store.areas() if area.manifest("profiles") is not None]
    # A manifest of an earlier version does not say when it was written.
    return [_walk(area) for area, used_at in found if used_at is None or used_at >= since]


def _walk(area: Area) -> Walk:
    profiles, embed = area.finished("profiles"), area.manifest("embed")
    # A manifest older than the profiles is of the run before.
    current = embed is not None and (embed.finished_at or "") >= (profiles.finished_at or "")
    paths = area.path("profiles", USER_PROFILES), area.path("profiles", ITEM_PROFILES)
    return Walk(paths, embed.facts["encoder_id"] if embed and current else None)


def _used(store: Store, encoder_id: str, walks: Sequence[Walk]) -> DataFrame:
    """Return (content_hash) of the profiles that walks used with an encoder."""
    paths = [path for walk in walks if walk.encoder_id in (None, encoder_id) for path in walk.profiles]
    schema = StructType([StructField("content_hash", STRING)])
    if not paths:
        return store.spark.createDataFrame([], schema)
    return store.spark.read.schema(schema).parquet(*paths).where(F.col("content_hash").isNotNull())


def _young(snapshot: Snapshot) -> DataFrame:
    """Return (content_hash) of appends of the last GRACE: of notebooks, and of runs whose dates were run again."""
    before = snapshot.vectors.clock() - GRACE
    young = [batch for batch in snapshot.batches if batch.written >= before and not batch.sources]
    return snapshot.read(young).select("content_hash")
