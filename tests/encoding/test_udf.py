"""encoder_udf: a column of texts to a column of vectors, row by row, however Arrow cuts the rows, and no text twice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding import provision, udf
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import Encoded, TextEncoder
from recsys_spark.encoding.udf import encode_batches, encode_window, provided_spec, windows
from recsys_spark.errors import EncoderError
from recsys_spark.schema import FLOATS
from recsys_spark.spark.progress import Counts, Sums
from recsys_spark.worker import cache
from tests.builders import config
from tests.tiny_encoder import WIDTH, poison, tiny_encoder

WORDS = ("red", "blue", "jazz", "", "购买", "cotton dress", "zzz")
TEXTS = [f"{WORDS[n % 7]} {WORDS[n // 7 % 7]} {'game ' * (n % 5)}".strip() for n in range(150)]
RECORDS = "spark.sql.execution.arrow.maxRecordsPerBatch"


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tiny_encoder(tmp_path_factory.mktemp("encoder"))
    prefixes = {"item_prefix": "space: ", "user_prefix": "horror: "}
    return Encoder(model=str(folder), batch_tokens=256, backend="torch-float32", **prefixes)


@pytest.fixture(scope="module")
def encoder(cfg: Encoder) -> TextEncoder:
    return load_encoder(resolve_encoder(cfg), n_threads=1)


@pytest.fixture
def counts(spark: SparkSession) -> Counts:
    return spark.sparkContext.accumulator({}, Sums())


def table(spark: SparkSession, texts: list[str | None], partitions: int = 2) -> DataFrame:
    rows = [(n, text) for n, text in enumerate(texts)]
    return spark.createDataFrame(rows, "id int, text string").repartition(partitions, "id").persist()


def vectors(frame: DataFrame) -> dict[int, Any]:
    return {row.id: row.vector for row in frame.select("id", "vector").collect()}


@pytest.mark.parametrize("records", [1, 7, 10_000])
def test_every_row_has_the_vector_of_its_text_under_any_arrow_batches(
    spark: SparkSession, cfg: Encoder, encoder: TextEncoder, records: int
) -> None:
    spark.conf.set(RECORDS, records)
    try:
        encoded = table(spark, [*TEXTS]).select("id", udf.encoder_udf(cfg)("text").alias("vector"))
        found = vectors(encoded)
    finally:
        spark.conf.unset(RECORDS)
    assert encoded.schema["vector"].dataType.simpleString() == "array<float>"
    expected = encoder.encode([f"space: {text}" for text in TEXTS])
    np.testing.assert_allclose(np.array([found[n] for n in range(len(TEXTS))]), expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.sampled_from([None, "", "red", "jazz rock", "game " * 9]), max_size=6), max_size=6),
    n_rows=st.integers(1, 12),
)
def test_batches_and_rows_keep_their_order(encoder: TextEncoder, batches: list[list[str | None]], n_rows: int) -> None:
    series = (pd.Series(batch, dtype=object) for batch in batches)
    found = [part for group in windows(series, n_rows) for part in encode_window(group, encoder)]
    assert [len(part) for part in found] == [len(batch) for batch in batches]
    for batch, part in zip(batches, found, strict=True):
        for text, vector in zip(batch, part, strict=True):
            if text is None:
                assert vector is None
            else:
                np.testing.assert_allclose(vector, encoder.encode([text])[0], atol=1e-6)


def test_small_arrow_batches_are_encoded_together(encoder: TextEncoder) -> None:
    seen: list[Encoded] = []
    batches = (pd.Series([text], dtype=object) for n in range(30) for text in (f"{n}", f"{n} {'red ' * 20}"))
    found = list(encode_batches(batches, encoder.spec, 1, report=lambda _, encoded: seen.append(encoded)))
    assert [len(part) for part in found] == [1] * 60
    assert [len(encoded.vectors) for encoded in seen] == [60]


def test_null_gives_null_and_the_empty_text_has_a_vector(spark: SparkSession, tmp_path: Path) -> None:
    plain = Encoder(model=str(tiny_encoder(tmp_path)), backend="torch-float32")
    encode = udf.encoder_udf(plain)
    found = vectors(table(spark, ["", None, " \t", "jazz", None]).select("id", encode("text").alias("vector")))
    assert (found[1], found[4]) == (None, None)
    expected = load_encoder(resolve_encoder(plain), 1).encode(["", " \t", "jazz"])
    np.testing.assert_allclose([found[0], found[2], found[3]], expected, atol=1e-6)
    assert set(vectors(table(spark, [None, None]).select("id", encode("text").alias("vector"))).values()) == {None}


def test_a_text_without_a_vector_gives_null_and_a_line_in_the_log(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = Encoder(model=str(poison(tiny_encoder(tmp_path), "horror")), backend="torch-float32")
    texts = ["jazz", "horror", None, "space horror", "red"]
    encode = udf.encoder_udf(spoilt)
    found = vectors(table(spark, [*texts]).select("id", encode("text").alias("vector")))
    assert [n for n, vector in sorted(found.items()) if vector is None] == [1, 2, 3]
    with caplog.at_level(logging.WARNING, "recsys_spark"):
        (part,) = encode_batches(iter([pd.Series(texts)]), resolve_encoder(spoilt), 1)
    assert [vector is None for vector in part] == [False, True, True, True, False]
    assert "encoder_udf: 2 of 4 texts have no vector: not_finite 2; check the model's weights" in caplog.text


@pytest.mark.parametrize("side", ["item", "user"])
def test_sql_uses_the_prefix_of_the_side(spark: SparkSession, cfg: Encoder, encoder: TextEncoder, side: Any) -> None:
    whole = config(encoder=cfg.model_dump())
    spark.udf.register("encode_text", udf.encoder_udf(whole, side=side, spark=spark))
    found = spark.sql("SELECT encode_text(t) AS v FROM VALUES ('red'), (NULL) AS texts(t) ORDER BY t").collect()
    prefix = {"item": "space: ", "user": "horror: "}[side]
    assert found[0].v is None
    np.testing.assert_allclose(found[1].v, encoder.encode([f"{prefix}red"])[0], atol=1e-6)


def test_the_name_of_a_model_is_enough(spark: SparkSession, cfg: Encoder, encoder: TextEncoder) -> None:
    encode = udf.encoder_udf(cfg.model)
    found = table(spark, ["red"]).select(F.size(encode("text")).alias("n")).collect()
    assert [row.n for row in found] == [WIDTH]


def test_the_model_is_loaded_once_per_worker_process(spark: SparkSession, cfg: Encoder, counts: Counts) -> None:
    # A budget of its own, so that no earlier test has loaded this one.
    own = cfg.model_copy(update={"batch_tokens": 255})
    spec = provided_spec(own, spark)

    def report(device: str, encoded: Encoded) -> None:
        counts.add({f"{os.getpid()} {cache.uses(('encoder', spec, 1))}": 1})

    texts = table(spark, [*TEXTS], partitions=12)
    assert len(vectors(texts.select("id", udf.encoder_udf(own, report=report)("text").alias("vector")))) == 150
    # Each process counts 1, 2, 3 ... over its tasks; a task that loaded again would begin anew at 1.
    of_process: dict[str, list[int]] = {}
    for key, n in counts.value.items():
        pid, uses = key.split()
        of_process.setdefault(pid, []).extend([int(uses)] * n)
    assert sum(map(len, of_process.values())) == 12
    for uses in of_process.values():
        assert sorted(uses) == list(range(1, len(uses) + 1))


def test_a_text_is_encoded_once_per_window(spark: SparkSession, cfg: Encoder, counts: Counts) -> None:
    encode = udf.encoder_udf(cfg, report=lambda _, encoded: counts.add({"texts": len(encoded.vectors)}))
    texts = table(spark, ["red", "blue", "red", None] * 50, partitions=1)
    assert len(vectors(texts.select("id", encode("text").alias("vector")))) == 200
    assert counts.value == {"texts": 2}


def filtered(texts: DataFrame, encode: Any) -> DataFrame:
    return texts.select("id", encode("text").alias("vector")).where(F.size("vector") > 0).where("vector[0] < 2")


def plan_of(frame: DataFrame) -> str:
    return str(frame._jdf.queryExecution().executedPlan())  # type: ignore[operator]


def test_a_filter_on_the_vectors_encodes_no_text_again(spark: SparkSession, cfg: Encoder, counts: Counts) -> None:
    texts = table(spark, [f"{n}" for n in range(100)])
    encode: Any = udf.encoder_udf(cfg, report=lambda _, encoded: counts.add({"texts": len(encoded.vectors)}))
    once = filtered(texts, encode)
    assert plan_of(once).count("ArrowEvalPython") == 1
    assert len(once.collect()) == 100
    assert counts.value == {"texts": 100}
    # What it is spared. If this fails, Spark has learnt better: say so in docs/notebooks.md.
    declared = pandas_udf(encode.func, FLOATS)  # type: ignore[call-overload]
    assert declared.deterministic
    assert not encode.deterministic
    twice = filtered(texts, declared)
    assert plan_of(twice).count("ArrowEvalPython") == 2
    assert len(twice.collect()) == 100
    assert counts.value == {"texts": 300}


def test_outside_local_mode_the_model_is_brought_to_the_executors(
    spark: SparkSession, cfg: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives: list[str] = []
    monkeypatch.setattr(provision, "is_local", lambda _: False)
    monkeypatch.setattr(type(spark.sparkContext), "addArchive", lambda _, path: archives.append(path))
    spec = provided_spec(cfg, spark)
    assert [archive.partition("#")[2] for archive in archives] == [spec.shipped]
    assert spec.encoder_id in spec.shipped


@pytest.mark.parametrize(("local", "half"), [(True, True), (False, False)])
def test_half_precision_is_only_where_a_udf_s_tasks_have_gpus(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool, half: bool
) -> None:
    # On a cluster the stage would get GPUs by its resource profile, and a UDF has none.
    monkeypatch.setattr(udf, "on_gpus", lambda *_: True)
    monkeypatch.setattr(udf, "is_local", lambda _: local)
    spec = provided_spec(Encoder(model=str(tiny_encoder(tmp_path))), spark)
    assert (spec.backend == "torch-float16") == half


def test_tasks_without_rows_load_nothing(encoder: TextEncoder) -> None:
    def none() -> Iterator[pd.Series]:
        yield from ()

    nowhere = resolve_encoder(Encoder(model=encoder.spec.path, max_length=9))
    assert list(encode_batches(none(), nowhere, 1)) == []
    assert cache.uses(("encoder", nowhere, 1)) == 0


def test_impossible_arguments_are_refused_on_the_driver(
    spark: SparkSession, cfg: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    side: Any = "items"
    with pytest.raises(EncoderError, match=r"(?s)side is not known.*'items'"):
        udf.encoder_udf(cfg, side=side)
    with pytest.raises(EncoderError, match="not on this machine"):
        udf.encoder_udf("/nowhere/model")
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    with pytest.raises(EncoderError, match="no Spark session"):
        udf.encoder_udf(cfg)
