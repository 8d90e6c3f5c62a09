"""The store: attempts are invisible until they are committed, partitions appear whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.contract import RELATIONS
from recsys_spark.errors import SchemaError, StoreError
from recsys_spark.store.areas import Store
from recsys_spark.tables import ENCODED, RECOMMENDATIONS
from tests.builders import frame


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> Store:
    return Store(spark, str(tmp_path))


def relations(spark: SparkSession, *pairs: tuple[str, str]) -> DataFrame:
    return frame(spark, RELATIONS, [{"user_id": a, "friend_id": b, "weight": 1.0} for a, b in pairs])


def encoded(spark: SparkSession, *hashes: str) -> DataFrame:
    return frame(spark, ENCODED, [{"content_hash": h, "encoder_id": "e", "vector": [1.0]} for h in hashes])


def lists(spark: SparkSession, *users: str) -> DataFrame:
    return frame(spark, RECOMMENDATIONS, [{"user_id": u, "rank": 1, "item_id": "i"} for u in users])


def test_an_attempt_is_not_read_before_it_is_committed(spark: SparkSession, store: Store) -> None:
    area = store.area("2026-01-01")
    attempt = area.attempt("ingest", "key")
    attempt.write(RELATIONS, relations(spark, ("a", "b")))
    with pytest.raises(StoreError, match="`ingest` has not finished"):
        area.table("ingest", RELATIONS)
    manifest = attempt.commit({"n": 1}, 0.5)
    assert area.table("ingest", RELATIONS).count() == 1
    assert area.finished("ingest") == manifest
    assert manifest.rows == {"relations": 1}


def test_a_later_attempt_replaces_the_earlier_and_crashed_ones_go(
    spark: SparkSession, store: Store, tmp_path: Path
) -> None:
    area = store.area("2026-01-01")
    for pairs in ([("a", "b")], [("a", "b"), ("b", "c")]):
        attempt = area.attempt("ingest", "key")
        attempt.write(RELATIONS, relations(spark, *pairs))
    attempt.commit({}, 0.0)
    assert area.table("ingest", RELATIONS).count() == 2
    assert len(list((tmp_path / "runs/run_date=2026-01-01/main/ingest").glob("attempt-*"))) == 1


def test_an_unreadable_manifest_says_what_to_do(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "runs/run_date=2026-01-01/main"
    folder.mkdir(parents=True)
    (folder / "ingest.json").write_text('{"stage": "ing')
    with pytest.raises(StoreError, match="Delete it"):
        store.area("2026-01-01").manifest("ingest")


def test_embeddings_are_appended_and_read_once_per_text(spark: SparkSession, store: Store) -> None:
    assert store.embeddings("e").count() == 0
    known = store.vectors.snapshot("e")
    # Two runs at once, neither of which knows what the other adds.
    assert store.vectors.append("e", encoded(spark, "h1", "h2"), known=known).n_vectors == 2
    assert store.vectors.append("e", encoded(spark, "h2", "h3"), known=known).n_vectors == 2
    assert sorted(row["content_hash"] for row in store.embeddings("e").collect()) == ["h1", "h2", "h3"]
    assert store.embeddings("other").count() == 0


def test_a_batch_of_no_embeddings_leaves_no_files(spark: SparkSession, store: Store, tmp_path: Path) -> None:
    assert store.vectors.append("e", encoded(spark), known=store.vectors.snapshot("e")).n_vectors == 0
    assert not list(tmp_path.glob("embeddings/encoder_id=e/*"))


def test_a_published_partition_has_its_manifest_and_replaces_the_one_before(
    spark: SparkSession, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="Nothing was published"):
        store.lists.published("2026-01-01")
    store.lists.publish("2026-01-01", lists(spark, "a"), {"n": 1})
    path = store.lists.publish("2026-01-01", lists(spark, "a", "b"), {"n": 2})
    assert store.lists.published("2026-01-01").count() == 2
    assert json.loads((Path(path) / "_MANIFEST.json").read_text()) == {"n": 2}
    store.lists.publish("2026-01-02", lists(spark, "c"), {})
    everything = spark.read.parquet(str(tmp_path / "recommendations"))
    assert everything.groupBy("run_date").count().count() == 2
    assert everything.count() == 3


def test_a_crash_while_publishing_leaves_the_earlier_partition(
    spark: SparkSession, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.lists.publish("2026-01-01", lists(spark, "a"), {"n": 1})
    monkeypatch.setattr(store.files, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.lists.publish("2026-01-01", lists(spark, "a", "b"), {"n": 2})
    assert store.lists.published("2026-01-01").count() == 1
    assert spark.read.parquet(str(tmp_path / "recommendations")).count() == 1


def test_a_table_of_another_shape_is_not_written(spark: SparkSession, store: Store) -> None:
    with pytest.raises(SchemaError, match="Columns are missing"):
        store.area("2026-01-01").attempt("ingest").write(RELATIONS, spark.range(1))
