"""embed: vectors of texts not seen before, each unique text once, bit-equal for any number of partitions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config import Config
from recsys_spark.errors import EncoderError
from recsys_spark.kernels.devices import lent, task_device
from recsys_spark.kernels.encoder import Floats
from recsys_spark.kernels.encoder_files import EncoderSpec
from recsys_spark.kernels.encoder_load import load_encoder
from recsys_spark.stages._task_gpus import assigned_gpus
from recsys_spark.tables import EMBEDDINGS
from recsys_spark.workers import cached, freeze_imports

MIN_BUCKET_ROWS, MAX_BUCKET_ROWS, WANTED_BUCKETS = 64, 2048, 16
MAX_PARTITIONS = 4096


def profile_texts(user_profiles: DataFrame, item_profiles: DataFrame, cfg: Config) -> DataFrame:
    """(content_hash, text), distinct: every text of a profile with its prefix put on, as its hash has it."""
    sides = ((user_profiles, cfg.encoder.user_prefix), (item_profiles, cfg.encoder.item_prefix))
    users, items = (
        profiles.where(F.col("text").isNotNull()).select("content_hash", F.concat(F.lit(prefix), "text").alias("text"))
        for profiles, prefix in sides
    )
    return users.unionByName(items).distinct()


def unseen_texts(texts: DataFrame, embeddings: DataFrame, encoder_id: str) -> DataFrame:
    """The rows of ``texts`` without a vector of this encoder in ``embeddings``."""
    known = embeddings.where(F.col("encoder_id") == encoder_id).select("content_hash")
    return texts.join(known, on="content_hash", how="left_anti").select("content_hash", "text")


def bucket_count(n_texts: int) -> int:
    """Buckets for so many texts: large enough to pack by length, and some for every core of a small cluster.

    >>> bucket_count(0), bucket_count(64), bucket_count(3_200), bucket_count(1_000_000)
    (1, 1, 16, 489)
    """
    rows = min(max(-(-n_texts // WANTED_BUCKETS), MIN_BUCKET_ROWS), MAX_BUCKET_ROWS)
    return max(1, -(-n_texts // rows))


def build_embeddings(
    texts: DataFrame,
    spec: EncoderSpec,
    *,
    n_texts: int,
    n_threads: int,
    profile: ResourceProfile | None = None,
    own_machine: bool = False,
) -> DataFrame:
    """EMBEDDINGS of ``texts`` (content_hash, text); ``n_texts`` is their number, ``n_threads`` the CPU threads of a task.

    ``profile`` asks for GPUs for these tasks alone; on its ``own_machine`` a task may take a GPU that nobody assigned.
    """

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return encode_buckets(batches, spec, n_threads, own_machine=own_machine)

    return deal(texts, n_texts).mapInArrow(encode, EMBEDDINGS.schema, profile=profile)


def deal(texts: DataFrame, n_texts: int) -> DataFrame:
    """(bucket, content_hash, text): ``texts`` dealt into buckets, a bucket in one partition and in the order of its hashes.

    A product's last bits depend on which texts share a batch, and training makes such differences visible. So a
    text's batch-mates follow from hashes and ``n_texts`` alone: each bucket is encoded by itself wherever it lands.
    """
    n_buckets = bucket_count(n_texts)
    bucket = F.pmod(F.xxhash64("content_hash"), F.lit(n_buckets)).cast("int").alias("bucket")
    return (
        texts.select(bucket, "content_hash", "text")
        # With a number given, adaptive execution does not melt the partitions into one.
        .repartition(min(n_buckets, MAX_PARTITIONS), "bucket")
        .sortWithinPartitions("bucket", "content_hash")
    )


def encode_buckets(
    batches: Iterator[pa.RecordBatch], spec: EncoderSpec, n_threads: int, *, own_machine: bool = False
) -> Iterator[pa.RecordBatch]:
    """The worker's side: batches of :func:`deal` in, one batch of EMBEDDINGS per bucket out; a task without rows loads nothing."""
    buckets = whole_buckets(batches)
    first = next(buckets, None)
    if first is not None:
        context = TaskContext.get()
        if context:
            # Spark brings what is needed; a worker that asks the hub would wait for its time-outs.
            os.environ["HF_HUB_OFFLINE"] = "1"
        addresses = assigned_gpus()
        # A profile with GPUs brings cores of its own.
        threads = context.cpus() if context and addresses else n_threads
        with task_device(
            spec.device, addresses, setting="encoder.device", error=EncoderError, own_machine=own_machine
        ) as device:
            encoder = cached(("encoder", spec, threads), lambda: load_encoder(spec, threads, shipped_folders(spec)))
            with lent(encoder, device):
                for content in chain([first], buckets):
                    vectors = encoder.encode(content.column("text").to_pylist())
                    yield embedding_batch(content.column("content_hash").combine_chunks(), spec.encoder_id, vectors)
    freeze_imports()


def shipped_folders(spec: EncoderSpec) -> list[Path]:
    """Where Spark has put the model on this machine, if it carries one."""
    return [Path(SparkFiles.get(spec.shipped))] if spec.shipped else []


def whole_buckets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows sorted by `bucket`, cut anywhere into Arrow batches, put together again into one table per bucket."""
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


def embedding_batch(content_hashes: pa.Array, encoder_id: str, vectors: Floats) -> pa.RecordBatch:
    """One Arrow batch of EMBEDDINGS around the buffer of ``vectors`` ``[n, h]``; nothing is done per row."""
    n, width = vectors.shape
    offsets = pa.array(np.arange(0, (n + 1) * width, width, dtype=np.int32))
    lists = pa.ListArray.from_arrays(
        offsets,
        pa.array(vectors.reshape(-1)),
        type=pa.list_(pa.field("element", pa.float32(), nullable=False)),
    )
    ids = pa.array([encoder_id]).take(pa.array(np.zeros(n, np.int32)))
    return pa.RecordBatch.from_arrays([content_hashes, ids, lists], names=EMBEDDINGS.names)
