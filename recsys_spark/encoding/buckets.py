"""Buckets of texts: hashes and counts decide which texts are encoded together, not the way Spark spreads the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

MIN_BUCKET_ROWS, MAX_BUCKET_ROWS, WANTED_BUCKETS = 64, 2048, 16
MAX_PARTITIONS = 4096


def bucket_count(n_texts: int) -> int:
    """Return the number of buckets for ``n_texts`` texts.

    A bucket is large enough to pack by length, and a small cluster has several buckets per core.

    >>> bucket_count(0), bucket_count(64), bucket_count(3_200), bucket_count(1_000_000)
    (1, 1, 16, 489)
    """
    rows = min(max(-(-n_texts // WANTED_BUCKETS), MIN_BUCKET_ROWS), MAX_BUCKET_ROWS)
    return max(1, -(-n_texts // rows))


def deal(texts: DataFrame, n_texts: int) -> DataFrame:
    """Return (bucket, content_hash, text): each bucket of ``texts`` in one partition, in the order of its hashes.

    The last bits of a product depend on which texts share a batch, and training makes such differences visible. So the
    texts of a batch follow only from hashes and ``n_texts``. Each bucket is encoded alone, wherever it is.
    """
    n_buckets = bucket_count(n_texts)
    bucket = F.pmod(F.xxhash64("content_hash"), F.lit(n_buckets)).cast("int").alias("bucket")
    rows = _spread(texts.select(bucket, "content_hash", "text"), min(n_buckets, MAX_PARTITIONS))
    return rows.sortWithinPartitions("bucket", "content_hash")


def _spread(rows: DataFrame, n_partitions: int) -> DataFrame:
    """Return rows with equally many buckets per partition; adaptive execution keeps a given number of partitions."""
    if hasattr(rows, "repartitionById"):
        return rows.repartitionById(n_partitions, "bucket")
    # Before PySpark 4.1 the hash of a bucket decides: a third of the partitions stay empty, some have three buckets.
    return rows.repartition(n_partitions, "bucket")


def whole_buckets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield one table per bucket from Arrow batches of rows sorted by `bucket`; a batch may end inside a bucket."""
    pieces: list[pa.RecordBatch] = []
    for batch in batches:
        buckets = batch.column("bucket").to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
        for start, stop in pairwise(edges):
            piece = batch.slice(start, stop - start)
            if pieces and start < stop and pieces[-1].column("bucket")[0] != piece.column("bucket")[0]:
                yield pa.Table.from_batches(pieces)
                pieces = []
            pieces += [piece] if start < stop else []
    if pieces:
        yield pa.Table.from_batches(pieces)
