"""Encodes texts that have no vector yet, each unique text once; the bits are equal for any number of partitions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.encoding.buckets import deal, whole_buckets
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import Encoded, TextEncoder, without_vectors
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.profiles.prefixed import prefixed
from recsys_spark.spark.task_gpus import assigned_gpus
from recsys_spark.tables import ENCODED, ITEM_PROFILES, REJECTED_ROWS, USER_PROFILES
from recsys_spark.worker.cache import cached, freeze_imports
from recsys_spark.worker.devices import lent, task_device
from recsys_spark.worker.threads import limit_threads

SHOWN_CHARACTERS = 200
"""How much of a rejected text is kept."""

Report = Callable[[str, Encoded], None]
"""Called on the worker for each bucket with the device and the encoded texts."""


def profile_texts(user_profiles: DataFrame, item_profiles: DataFrame, cfg: Config) -> DataFrame:
    """Return (content_hash, text), distinct: the text of every profile with its prefix, as it was hashed."""
    sides = ((user_profiles, cfg.encoder.user_prefix), (item_profiles, cfg.encoder.item_prefix))
    users, items = (
        profiles.where(F.col("text").isNotNull()).select("content_hash", prefixed(prefix).alias("text"))
        for profiles, prefix in sides
    )
    return users.unionByName(items).distinct()


def unseen_texts(texts: DataFrame, embeddings: DataFrame, encoder_id: str) -> DataFrame:
    """Return the rows of ``texts`` without a vector of this encoder in ``embeddings``."""
    known = embeddings.where(F.col("encoder_id") == encoder_id).select("content_hash")
    return texts.join(known, on="content_hash", how="left_anti").select("content_hash", "text")


def build_embeddings(
    texts: DataFrame,
    spec: EncoderSpec,
    *,
    n_texts: int,
    n_threads: int,
    profile: ResourceProfile | None = None,
    own_machine: bool = False,
    report: Report | None = None,
) -> DataFrame:
    """Return ENCODED of the ``n_texts`` rows of ``texts`` (content_hash, text); a task uses ``n_threads`` CPU threads.

    ``profile`` requests GPUs for these tasks only. On its ``own_machine`` a task may take a GPU that was not assigned.
    """

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return encode_buckets(batches, spec, n_threads, own_machine=own_machine, report=report)

    return deal(texts, n_texts).mapInArrow(encode, ENCODED.schema, profile=profile)


def encode_buckets(
    batches: Iterator[pa.RecordBatch],
    spec: EncoderSpec,
    n_threads: int,
    *,
    own_machine: bool = False,
    report: Report | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield, on the worker, one batch of ENCODED per bucket of `deal`; a task without rows loads nothing."""
    buckets = whole_buckets(batches)
    first = next(buckets, None)
    if first is not None:
        with task_encoder(spec, n_threads, own_machine=own_machine) as encoder:
            for content in chain([first], buckets):
                encoded = encoder.encode_each(content.column("text").to_pylist())
                if report is not None:
                    report(encoder.device, encoded)
                yield encoded_batch(content.column("content_hash").combine_chunks(), spec.encoder_id, encoded)
    freeze_imports()


@contextmanager
def task_encoder(spec: EncoderSpec, n_threads: int, *, own_machine: bool = False) -> Iterator[TextEncoder]:
    """Lend the encoder on this task's device; raises EncoderError.

    The first task of a process loads the encoder, and later tasks use it again.
    """
    context = TaskContext.get()
    if context:
        # Spark brings the model. A worker that asked the hub would wait for time-outs.
        os.environ["HF_HUB_OFFLINE"] = "1"
    addresses = assigned_gpus()
    # A resource profile with GPUs has its own number of cores.
    threads = context.cpus() if context and addresses else n_threads
    with task_device(
        spec.device, addresses, setting="encoder.device", error=EncoderError, own_machine=own_machine
    ) as device:
        encoder = cached(("encoder", spec, threads), lambda: load_encoder(spec, threads, shipped_folders(spec)))
        # A task of another stage may have changed the number in this process since then; bits depend on it.
        limit_threads(threads)
        with lent(encoder, device):
            encoder.prove()
            yield encoder


def shipped_folders(spec: EncoderSpec) -> list[Path]:
    """Return the folder of this machine where Spark has put the model; empty where Spark does not carry it."""
    return [Path(SparkFiles.get(spec.shipped))] if spec.shipped else []


def encoded_batch(content_hashes: pa.Array, encoder_id: str, encoded: Encoded) -> pa.RecordBatch:
    """Return an Arrow batch of ENCODED that uses the buffer of the vectors; only texts without a vector cost work."""
    n, width = encoded.vectors.shape
    offsets = pa.array(np.arange(0, (n + 1) * width, width, dtype=np.int32))
    without = np.zeros(n, np.bool_)
    without[list(encoded.reasons)] = True
    lists = pa.ListArray.from_arrays(
        offsets,
        pa.array(encoded.vectors.reshape(-1)),
        type=pa.list_(pa.field("element", pa.float32(), nullable=False)),
        mask=pa.array(without),
    )
    ids = pa.array([encoder_id]).take(pa.array(np.zeros(n, np.int32)))
    reasons = (
        pa.array([encoded.reasons.get(row) for row in range(n)], pa.string())
        if encoded.reasons
        else pa.nulls(n, pa.string())
    )
    return pa.RecordBatch.from_arrays([content_hashes, ids, lists, reasons], names=ENCODED.names)


def rejected_profiles(rejected: DataFrame, user_profiles: DataFrame, item_profiles: DataFrame) -> DataFrame:
    """Return REJECTED_ROWS of the profiles whose text is in ``rejected`` (ENCODED).

    A row contains the id, the content hash and the beginning of the text.
    """
    sides = ((user_profiles, USER_PROFILES), (item_profiles, ITEM_PROFILES))
    users, items = (
        profiles.join(rejected.select("content_hash", "reason"), "content_hash", "inner").select(
            F.lit(table.name).alias("table"),
            "reason",
            F.to_json(
                F.struct(*table.key, "content_hash", F.substring("text", 1, SHOWN_CHARACTERS).alias("text"))
            ).alias("row"),
        )
        for profiles, table in sides
    )
    return REJECTED_ROWS.conform(users.unionByName(items))


def check_encoded(counts: Mapping[str, int], n_texts: int, model: str) -> None:
    """Raise EncoderError where more than half of the ``n_texts`` texts of all profiles have no vector.

    ``counts`` maps a reason to its number of texts. They are compared with all texts, known ones included: texts that
    never get a vector are tried in each run, and may be the only texts that a run encodes.
    """
    if sum(counts.values()) > n_texts / 2:
        raise without_vectors("Most texts have no vector", model, counts, n_texts)
