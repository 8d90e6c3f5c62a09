"""Embeddings: every vector is there once, whatever crashes, runs beside it, or is compacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.errors import StoreError
from recsys_spark.spark.filesystem import FileSystem
from recsys_spark.store.embeddings import GRACE, MANIFEST, Snapshot, Vectors
from recsys_spark.tables import ENCODED
from tests.builders import frame

STARTED = datetime.now(UTC)
Bits = dict[str, tuple[float, ...]]


def vectors_at(spark: SparkSession, root: Path) -> Vectors:
    return Vectors(spark, FileSystem(spark), str(root / "embeddings"), clock=lambda: STARTED)


@pytest.fixture
def vectors(spark: SparkSession, tmp_path: Path) -> Vectors:
    return vectors_at(spark, tmp_path)


def later(vectors: Vectors, by: timedelta = 2 * GRACE) -> None:
    moment = vectors.clock() + by
    vectors.clock = lambda: moment


def encoded(spark: SparkSession, *hashes: str, rejected: str = "", value: float = 0.1) -> DataFrame:
    """ENCODED: a vector of two numbers for each hash, none for those in ``rejected``."""
    rows = [{"content_hash": h, "encoder_id": "e", "vector": [value, float(i)]} for i, h in enumerate(hashes)]
    rows += [{"content_hash": h, "encoder_id": "e", "reason": "not_finite"} for h in rejected]
    return frame(spark, ENCODED, rows)


def append(vectors: Vectors, *hashes: str, known: Snapshot | None = None, value: float = 0.1) -> str:
    """Append a batch as a run does, and return the names of all batches that count."""
    known = known or vectors.snapshot("e")
    vectors.append("e", encoded(vectors.spark, *hashes, value=value), known=known)
    return next(b.name for b in vectors.snapshot("e").batches if b not in known.batches)


def bits(vectors: Vectors) -> Bits:
    """What a reader gets; each text once."""
    rows = vectors.snapshot("e").read().collect()
    found = {row["content_hash"]: tuple(row["vector"]) for row in rows}
    assert len(found) == len(rows)
    return found


def shuffles(df: DataFrame) -> bool:
    return "Exchange" in df._jdf.queryExecution().executedPlan().toString()


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("embeddings/encoder_id=e/batch-*"))


def test_texts_without_a_vector_are_given_back_and_the_encoding_runs_once(
    spark: SparkSession, vectors: Vectors, tmp_path: Path
) -> None:
    log = tmp_path / "evaluated"

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            with log.open("a") as file:
                file.write("x" * batch.num_rows)
            yield batch

    rows = encoded(spark, "a", "b", rejected="c").mapInArrow(counted, ENCODED.schema)
    done = vectors.append("e", rows, known=vectors.snapshot("e"))
    assert done.n_vectors == 2
    assert [(r["content_hash"], r["vector"], r["reason"]) for r in done.rejected.collect()] == [
        ("c", None, "not_finite")
    ]
    assert sorted(bits(vectors)) == ["a", "b"]
    assert log.read_text() == "xxx"


def test_an_encoding_without_rejected_texts_gives_back_none(spark: SparkSession, vectors: Vectors) -> None:
    done = vectors.append("e", encoded(spark, "a"), known=vectors.snapshot("e"))
    assert done.rejected.columns == ENCODED.names
    assert done.rejected.count() == 0


def test_an_encoding_of_nothing_but_rejected_texts_makes_no_batch(spark: SparkSession, vectors: Vectors) -> None:
    done = vectors.append("e", encoded(spark, rejected="ab"), known=vectors.snapshot("e"))
    assert done.n_vectors == 0
    assert done.rejected.count() == 2
    assert vectors.snapshot("e").batches == ()
    assert vectors.snapshot("e").read().count() == 0


def test_an_encoding_of_nothing_leaves_no_files(spark: SparkSession, vectors: Vectors, tmp_path: Path) -> None:
    assert vectors.append("e", encoded(spark), known=vectors.snapshot("e")).n_vectors == 0
    assert folders(tmp_path) == []


def test_nights_one_after_another_are_read_without_a_shuffle(vectors: Vectors) -> None:
    for h in "abc":
        append(vectors, h)
    assert sorted(bits(vectors)) == ["a", "b", "c"]
    assert not shuffles(vectors.snapshot("e").read())


def test_two_runs_at_once_give_each_text_one_vector_whoever_came_first(vectors: Vectors) -> None:
    append(vectors, "a")
    known = vectors.snapshot("e")
    append(vectors, "b", "c", known=known, value=0.3)
    append(vectors, "b", "d", known=known, value=0.2)
    found = bits(vectors)
    assert sorted(found) == ["a", "b", "c", "d"]
    assert found["b"] == pytest.approx((0.2, 0.0))
    assert shuffles(vectors.snapshot("e").read())
    vectors.compact("e")
    assert bits(vectors) == found
    assert not shuffles(vectors.snapshot("e").read())


def test_what_was_not_finished_is_not_read_and_goes_after_a_day(vectors: Vectors, tmp_path: Path) -> None:
    append(vectors, "a")
    name = append(vectors, "b")
    (tmp_path / f"embeddings/encoder_id=e/{name}/{MANIFEST}").unlink()
    assert sorted(bits(vectors)) == ["a"]
    vectors.sweep("e")
    assert name in folders(tmp_path)
    later(vectors)
    vectors.sweep("e")
    assert name not in folders(tmp_path)


def test_an_unreadable_manifest_says_what_to_do(vectors: Vectors, tmp_path: Path) -> None:
    name = append(vectors, "a")
    folder = tmp_path / f"embeddings/encoder_id=e/{name}"
    (folder / f".{MANIFEST}.crc").unlink(missing_ok=True)
    (folder / MANIFEST).write_text('{"name": "x"}')
    with pytest.raises(StoreError, match="Delete the batch's folder"):
        vectors.snapshot("e")


def test_compaction_makes_one_sorted_batch_of_the_same_bits(spark: SparkSession, vectors: Vectors) -> None:
    for hashes in (("d", "a"), ("c",), ("b", "e")):
        append(vectors, *hashes)
    before = bits(vectors)
    assert vectors.compact("e")
    [batch] = vectors.snapshot("e").batches
    assert batch.n_vectors == 5
    [file] = vectors.snapshot("e").files()
    assert [row["content_hash"] for row in spark.read.parquet(file.path).collect()] == ["a", "b", "c", "d", "e"]
    assert bits(vectors) == before
    assert not vectors.compact("e")


def test_a_single_batch_is_compacted_only_where_it_has_many_files(spark: SparkSession, vectors: Vectors) -> None:
    vectors.append("e", encoded(spark, "a", "b").coalesce(1), known=vectors.snapshot("e"))
    assert not vectors.compact("e")
    assert not vectors.compact("other")
    vectors.append("f", encoded(spark, "a", "b", "c", "d").repartition(4), known=vectors.snapshot("f"))
    assert vectors.compact("f")
    assert len(vectors.snapshot("f").files()) == 1


def test_a_reader_keeps_its_files_for_a_day_and_then_they_go(vectors: Vectors, tmp_path: Path) -> None:
    append(vectors, "a")
    append(vectors, "b")
    reading = vectors.snapshot("e").read()
    vectors.compact("e")
    append(vectors, "c")
    vectors.compact("e")
    assert reading.count() == 2
    later(vectors)
    assert not vectors.compact("e")
    assert len(folders(tmp_path)) == 1
    assert sorted(bits(vectors)) == ["a", "b", "c"]


def test_an_append_that_was_begun_before_a_compaction_stays_apart_from_it(vectors: Vectors) -> None:
    append(vectors, "a")
    append(vectors, "b")
    known = vectors.snapshot("e")
    vectors.compact("e")
    append(vectors, "c", known=known)
    assert sorted(bits(vectors)) == ["a", "b", "c"]
    assert not shuffles(vectors.snapshot("e").read())


def test_an_append_that_had_not_seen_all_of_a_compaction_may_repeat_its_texts(vectors: Vectors) -> None:
    append(vectors, "a")
    known = vectors.snapshot("e")
    append(vectors, "b", "c")
    vectors.compact("e")
    append(vectors, "b", "d", known=known, value=0.9)
    assert sorted(bits(vectors)) == ["a", "b", "c", "d"]
    vectors.compact("e")
    assert sorted(bits(vectors)) == ["a", "b", "c", "d"]


def test_compactions_and_appends_at_once_lose_and_double_nothing(vectors: Vectors) -> None:
    append(vectors, "a")
    append(vectors, "b")
    work: list[Callable[[], object]] = [partial(vectors.compact, "e")] * 2
    work += [
        partial(vectors.append, "e", encoded(vectors.spark, h, "x"), known=vectors.snapshot("e")) for h in ("c", "d")
    ]
    with ThreadPoolExecutor(len(work)) as pool:
        done = [pool.submit(job) for job in work]
    for job in done:
        job.result()
    assert sorted(bits(vectors)) == ["a", "b", "c", "d", "x"]
    vectors.compact("e")
    later(vectors)
    vectors.compact("e")
    assert sorted(bits(vectors)) == ["a", "b", "c", "d", "x"]
    assert len(vectors.snapshot("e").batches) == 1
