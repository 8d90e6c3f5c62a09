"""embed: only unseen texts, each once, bit-equal vectors however the rows are spread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyspark import TaskContext
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding import buckets
from recsys_spark.encoding.buckets import bucket_count, deal, whole_buckets
from recsys_spark.encoding.embed import build_embeddings, encode_buckets, profile_texts, unseen_texts
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.tables import EMBEDDINGS, ENCODED, ITEM_PROFILES, USER_PROFILES
from recsys_spark.worker import cache
from tests.builders import config, frame
from tests.tiny_encoder import WIDTH, tiny_encoder

WORDS = ("red", "blue", "jazz", "space", "horror", "购买", "浏览", "cotton dress", "of", "zzz")
TEXTS = sorted(
    {f"{WORDS[n % 10]} {WORDS[n // 10 % 10]} {WORDS[n // 100 % 10]} {'game ' * (n % 7)}" for n in range(600)}
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> EncoderSpec:
    folder = tiny_encoder(tmp_path_factory.mktemp("encoder"))
    return resolve_encoder(Encoder(model=str(folder), batch_tokens=256, backend="torch-float32"))


def hash_of(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def texts_of(spark: SparkSession, texts: list[str]) -> DataFrame:
    return spark.createDataFrame([(hash_of(text), text) for text in texts], "content_hash string, text string")


def embed(texts: DataFrame, spec: EncoderSpec, n_texts: int = len(TEXTS)) -> dict[str, bytes]:
    rows = build_embeddings(texts, spec, n_texts=n_texts, n_threads=1).collect()
    vectors = {row.content_hash: np.array(row.vector, np.float32).tobytes() for row in rows}
    assert len(vectors) == len(rows)
    return vectors


def test_every_text_gets_its_own_unit_vector(spark: SparkSession, spec: EncoderSpec) -> None:
    result = build_embeddings(texts_of(spark, TEXTS), spec, n_texts=len(TEXTS), n_threads=1)
    rows = {row.content_hash: row for row in result.collect()}
    assert result.schema == ENCODED.schema
    assert {(row.encoder_id, row.reason) for row in rows.values()} == {(spec.encoder_id, None)}
    expected = load_encoder(spec, n_threads=1).encode(TEXTS)
    found = np.array([rows[hash_of(text)].vector for text in TEXTS])
    assert found.shape == (len(TEXTS), WIDTH)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_vectors_are_bit_equal_for_any_partitions_and_arrow_batches(spark: SparkSession, spec: EncoderSpec) -> None:
    texts = texts_of(spark, TEXTS)
    first = embed(texts.repartition(1), spec)
    assert len(first) == len(TEXTS)
    for partitions, shuffle, records in ((2, 1, 10_000), (5, 7, 10)):
        spark.conf.set("spark.sql.shuffle.partitions", shuffle)
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", records)
        try:
            assert embed(texts.orderBy("text").repartition(partitions), spec) == first
        finally:
            spark.conf.set("spark.sql.shuffle.partitions", 3)
            spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")


@pytest.mark.skipif(not hasattr(DataFrame, "repartitionById"), reason="PySpark before 4.1 spreads buckets by hash")
@pytest.mark.parametrize("n_partitions", [100, 4])
def test_tasks_have_as_many_buckets(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, n_partitions: int) -> None:
    monkeypatch.setattr(buckets, "MAX_PARTITIONS", n_partitions)
    n_buckets = bucket_count(len(TEXTS))
    assert n_buckets == 10
    dealt = deal(texts_of(spark, TEXTS), len(TEXTS)).select("bucket", F.spark_partition_id().alias("task")).distinct()
    per_task = [row["count"] for row in dealt.groupBy("task").count().collect()]
    assert sorted(per_task) == ([1] * 10 if n_partitions > n_buckets else [2, 2, 3, 3])


@pytest.mark.parametrize("texts_per_bucket", [1, 60])
def test_model_is_loaded_once_per_worker_process(spark: SparkSession, spec: EncoderSpec, texts_per_bucket: int) -> None:
    counted = replace(spec, model=f"counted {texts_per_bucket}")

    def uses(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in encode_buckets(batches, counted, n_threads=1):
            n, task = cache.uses(("encoder", counted, 1)), TaskContext.get()
            assert task is not None
            columns = {"pid": [os.getpid()], "task": [task.partitionId()], "uses": [n], "rows": [batch.num_rows]}
            yield pa.RecordBatch.from_pydict(columns)

    # As `deal` has them, with buckets of a size of ours.
    n_buckets = 12
    rows = [(n, hash_of(text), text) for n in range(n_buckets) for text in TEXTS[:texts_per_bucket]]
    texts = spark.createDataFrame(rows, "bucket int, content_hash string, text string")
    dealt = texts.repartition(n_buckets, "bucket").sortWithinPartitions("bucket", "content_hash")
    buckets = dealt.mapInArrow(uses, "pid long, task long, uses long, rows long").toPandas()
    assert buckets.rows.tolist() == [texts_per_bucket] * n_buckets
    # Each process counts 1, 2, 3 ... over its tasks; a task that loaded again would begin anew at 1.
    tasks = buckets.drop_duplicates("task")
    assert len(tasks) > 2
    for _, of_process in tasks.groupby("pid"):
        assert sorted(of_process.uses) == list(range(1, len(of_process) + 1))


def test_another_encoder_on_the_worker_stops_the_stage(spark: SparkSession, tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    spec = resolve_encoder(Encoder(model=str(folder)))
    (folder / "vocab.txt").write_text("changed")
    with pytest.raises(PythonException, match="another encoder than the driver"):
        embed(texts_of(spark, ["jazz"]), spec)


def test_a_kept_encoder_uses_its_own_number_of_threads(spec: EncoderSpec) -> None:
    batch = pa.RecordBatch.from_pydict({"bucket": [0], "content_hash": ["h"], "text": ["jazz"]})
    for _ in range(2):
        list(encode_buckets(iter([batch]), spec, n_threads=1))
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
    torch.set_num_threads(1)


def test_no_texts_load_nothing(spark: SparkSession, spec: EncoderSpec) -> None:
    nowhere = replace(spec, path="/nowhere", model="/nowhere")
    assert embed(texts_of(spark, []), nowhere, n_texts=0) == {}


def test_hostile_texts_pass_through_spark(spark: SparkSession, spec: EncoderSpec) -> None:
    hostile = ["", " \t\n", "x" * 2**20, "🙂 שלום", "\x00", "e\u0301", "a\ud83db", "red 购买 Дом مرحبا"]
    vectors = embed(texts_of(spark, hostile), spec)
    lengths = [np.linalg.norm(np.frombuffer(vector, np.float32)) for vector in vectors.values()]
    assert lengths == pytest.approx([1] * len(hostile), abs=1e-6)


def test_profile_texts_are_prefixed_distinct_and_not_null(spark: SparkSession) -> None:
    cfg = config(encoder={"item_prefix": "passage: ", "user_prefix": "query: "})
    items = [("i1", "passage: jazz"), ("i2", "passage: jazz"), ("i3", None)]
    users = [("u1", "query: jazz"), ("u2", None)]
    item_rows = [{"item_id": i, "text": t and "jazz", "content_hash": t and hash_of(t)} for i, t in items]
    user_rows = [{"user_id": u, "text": t and "jazz", "content_hash": t and hash_of(t)} for u, t in users]
    texts = profile_texts(frame(spark, USER_PROFILES, user_rows), frame(spark, ITEM_PROFILES, item_rows), cfg).collect()
    assert sorted(row.text for row in texts) == ["passage: jazz", "query: jazz"]
    assert all(row.content_hash == hash_of(row.text) for row in texts)


def test_only_texts_without_a_vector_of_this_encoder_are_unseen(spark: SparkSession) -> None:
    known = [
        {"content_hash": hash_of("jazz"), "encoder_id": "mine", "vector": [1.0]},
        {"content_hash": hash_of("rock"), "encoder_id": "other", "vector": [1.0]},
    ]
    unseen = unseen_texts(texts_of(spark, ["jazz", "rock", "space"]), frame(spark, EMBEDDINGS, known), "mine")
    assert sorted(row.text for row in unseen.collect()) == ["rock", "space"]


@given(sizes=st.lists(st.integers(1, 5), max_size=6), records=st.integers(1, 9))
def test_buckets_are_whole_however_arrow_cuts_them(sizes: list[int], records: int) -> None:
    buckets = [bucket * 3 for bucket, size in enumerate(sizes) for _ in range(size)]
    table = pa.table({"bucket": pa.array(buckets, pa.int32()), "row": list(range(len(buckets)))})
    found = list(whole_buckets(iter(table.to_batches(max_chunksize=records))))
    assert [len(set(part["bucket"].to_pylist())) for part in found] == [1] * len(sizes)
    assert [part.num_rows for part in found] == sizes
    assert [row for part in found for row in part["row"].to_pylist()] == list(range(len(buckets)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_cuda_is_a_clear_error(spec: EncoderSpec) -> None:
    columns = {"bucket": pa.array([0], pa.int32()), "content_hash": [hash_of("red")], "text": ["red"]}
    batch = pa.RecordBatch.from_pydict(columns)
    with pytest.raises(EncoderError, match="no usable CUDA device"):
        list(encode_buckets(iter([batch]), replace(spec, device="cuda"), 1))
