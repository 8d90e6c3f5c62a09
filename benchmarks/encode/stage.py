"""The whole Spark stage, Parquet in and Parquet out, beside its rivals on as many cores; sessions and models are there before.

Rivals: SentenceTransformer.encode in one process that may use all cores, and Spark's own `predict_batch_udf` around it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.common.processes import own_process, run_in
from benchmarks.encode.cases import (
    Case,
    backends,
    chosen,
    device_name,
    device_of,
    load_ours,
    load_rival,
    spec_of,
    the_cases,
)
from benchmarks.encode.kernel import Products, products_of
from benchmarks.encode.results import LIMIT, RIVAL, UDF_RIVAL, cost_rows, ours, title, tokens_per_s
from benchmarks.encode.texts import TITLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MANY = 6_144
"""Texts of a larger table, where a bucket has enough texts to pack them well."""
UDF_BATCH = 1_024
"""Rows that the rival's function gets at once: enough to sort by length."""


def session(cores: int) -> SparkSession:
    """This process's session; ``cores`` count at the first call."""
    from recsys_spark.spark.session import create_session

    return create_session({"spark.master": f"local[{cores}]"})


def write_texts(folder: Path, texts: list[str]) -> Path:
    """(content_hash, text) as Parquet in four row groups; the folder that holds it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    table = pa.table({"content_hash": hashes, "text": texts})
    pq.write_table(table, folder / "texts.parquet", row_group_size=max(1, -(-len(texts) // 4)))
    return folder


def run_stage(folder: Path, case: Case, backend: str, cores: int) -> None:
    """Texts in, vectors out, in this process's session."""
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
    """Checked once: the stage gets a checked encoder as well."""
    return spec_of(case, backend)


def run_udf(folder: Path, case: Case, backend: str, cores: int) -> None:
    """The same by `predict_batch_udf`, one task a core and one thread a task."""
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
    """What `predict_batch_udf` calls once per worker process, for the same function object."""
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
    """Loaded once in that process."""
    encoder = load_ours(case, backend, n_threads)
    rival = load_rival(encoder.spec.path, encoder.spec.max_length, n_threads)
    products = products_of(encoder)
    products.run(1)
    return Alone(rival, products, sum(map(len, encoder.tokenise(case.read().texts))))


def run_alone(what: str, case: Case, backend: str, n_threads: int) -> int:
    """LIMIT or RIVAL in that process; tokens that it is good for."""
    here = alone(case, backend, n_threads)
    n_passes = here.products.passes(here.n_tokens)
    if what == LIMIT:
        here.products.run(n_passes)
        return here.products.tokens(n_passes)
    here.rival.encode(texts_of(case))
    return here.n_tokens


@cache
def texts_of(case: Case) -> list[str]:
    """Read once."""
    return case.read().texts


@contextmanager
def stage_runs(
    case: Case, cores: int, folder: Path
) -> Iterator[tuple[dict[str, Callable[[], object]], dict[str, int]]]:
    """What takes turns, and the tokens of each."""
    names = backends(case)
    path = write_texts(folder / f"{case.texts}-{case.n}".replace(" ", "-"), case.read().texts)
    with own_process(cores) as process:
        # Spark's runs follow each other: its daemon lets workers go, and their models, that were idle for a minute.
        runs: dict[str, Callable[[], object]] = {
            what: lambda what=what: run_in(process, run_alone, what, case, names[0], cores) for what in (LIMIT, RIVAL)
        }
        n_tokens = {what: run() for what, run in runs.items()}
        for name in names:
            runs[ours(name)] = partial(run_stage, path, case, name, cores)
        runs[UDF_RIVAL] = partial(run_udf, path, case, names[0], cores)
        yield runs, dict.fromkeys(runs, n_tokens[RIVAL]) | n_tokens


def measure(*, tiny: bool, cores: int, texts: Sequence[str] = ()) -> Iterator[Row]:
    """All cases as they are done, and titles as a larger table too unless some texts were asked for, which shall take minutes."""
    session(cores)
    sizes = [(case, 1 if tiny else 3) for case in chosen(the_cases(tiny=tiny), texts)]
    if not tiny and not texts:
        sizes += [(replace(case, n=MANY), 2) for case, _ in sizes if case.texts == TITLES]
    for asked, repeats in sizes:
        case = replace(asked, n=len(asked.read().texts))
        with tempfile.TemporaryDirectory() as folder, stage_runs(case, cores, Path(folder)) as (runs, n_tokens):
            # What the larger table would warm is warm.
            costs = alternate(runs, repeats, warm_up=0 if asked.n == MANY else 1)
        device = device_name(device_of(spec_of(case, backends(case)[0])))
        mine = cost_rows(
            costs, n_tokens, what="stage", model=case.label, texts=case.texts, origin=case.read().origin, n_texts=case.n,
            threads=cores, device=device,
        )  # fmt: skip
        say(f"stage: {title(mine[0])}, {mine[1]['n_tokens']:,} tokens")
        for row in mine:
            say(f"stage:   {row['method']}: {tokens_per_s(row):,.0f} tokens/s, {row['cpu_s']:.2f} CPU s")
        yield from mine
    session(cores).stop()
