"""What the Spark stage and its rivals run, in functions of module level, so that a fresh process can run them.

Rivals: SentenceTransformer.encode in one process that may use all cores, and Spark's own `predict_batch_udf` around it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.common.spark import session
from benchmarks.encode.cases import Case, load_ours, load_rival, spec_of
from benchmarks.encode.products import Products, products_of
from benchmarks.encode.rows import LIMIT

UDF_BATCH = 1_024
"""Rows that the rival's function gets at once: enough to sort by length."""


def write_texts(folder: Path, texts: list[str]) -> Path:
    """Write (content_hash, text) as Parquet in four row groups and return the folder that holds it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    table = pa.table({"content_hash": hashes, "text": texts})
    pq.write_table(table, folder / "texts.parquet", row_group_size=max(1, -(-len(texts) // 4)))
    return folder


def run_stage(folder: Path, case: Case, backend: str, cores: int) -> None:
    """Encode texts to vectors in this process's session."""
    from recsys_spark.encoding.embed import build_embeddings
    from recsys_spark.spark.session import task_threads

    spark = session(cores)
    texts = spark.read.parquet(f"{folder}/texts.parquet")
    encoded = build_embeddings(
        texts, spec_of_once(case, backend), n_texts=case.n, n_threads=task_threads(spark), own_machine=True
    )
    encoded.write.mode("overwrite").parquet(f"{folder}/vectors-{os.getpid()}")


@cache
def spec_of_once(case: Case, backend: str) -> Any:
    """Return the encoder, checked once: the stage gets a checked encoder as well."""
    return spec_of(case, backend)


def run_udf(folder: Path, case: Case, backend: str, cores: int) -> None:
    """Encode the same by `predict_batch_udf`, one task a core and one thread a task."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, FloatType

    spark, encode = (
        session(cores),
        predict_batch_udf(rival_factory(case, backend), return_type=ArrayType(FloatType()), batch_size=UDF_BATCH),
    )
    texts = spark.read.parquet(f"{folder}/texts.parquet").repartition(cores)
    vectors = texts.select("content_hash", encode(F.col("text")).alias("vector"))
    vectors.write.mode("overwrite").parquet(f"{folder}/rival-{os.getpid()}")


@cache
def rival_factory(case: Case, backend: str) -> Callable[[], Callable[[Any], Any]]:
    """Return what `predict_batch_udf` calls once per worker process, for the same function object."""
    spec = spec_of_once(case, backend)
    path, max_length = spec.path, spec.max_length

    def make() -> Callable[[Any], Any]:
        model = load_rival(path, max_length, 1)
        return lambda texts: model.encode(texts.tolist())

    return make


@dataclass
class Alone:
    """What runs in a process without Spark, on all cores."""

    rival: Any
    products: Products
    n_tokens: int


@cache
def alone(case: Case, backend: str, n_threads: int) -> Alone:
    """Load both once in that process."""
    encoder = load_ours(case, backend, n_threads)
    rival = load_rival(encoder.spec.path, encoder.spec.max_length, n_threads)
    products = products_of(encoder)
    products.run(1)
    return Alone(rival, products, sum(map(len, encoder.tokenise(case.read().texts))))


def run_alone(what: str, case: Case, backend: str, n_threads: int) -> int:
    """Run LIMIT or RIVAL in that process; return the tokens that the run stands for."""
    here = alone(case, backend, n_threads)
    n_passes = here.products.passes(here.n_tokens)
    if what == LIMIT:
        here.products.run(n_passes)
        return here.products.tokens(n_passes)
    here.rival.encode(texts_of(case))
    return here.n_tokens


@cache
def texts_of(case: Case) -> list[str]:
    """Return the texts, read once."""
    return case.read().texts
