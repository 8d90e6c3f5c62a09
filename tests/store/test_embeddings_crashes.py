"""Embeddings: a crash between any two changes of the file system loses and doubles nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.spark.filesystem import FileSystem
from recsys_spark.store.embeddings import MANIFEST
from tests.store.test_embeddings import append, bits, folders, later, shuffles, vectors_at


class Crash(Exception):
    """The process ends here."""


def crash_at(step: int, *, after: bool) -> Callable[[], None]:
    """Let the file system fail at its n-th change, before or after making it; returns what ends that."""
    patch, count = pytest.MonkeyPatch(), iter(range(1_000))

    def failing(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*args: object) -> None:
            now = next(count)
            if now == step and not after:
                raise Crash
            change(*args)
            if now == step:
                raise Crash

        return changed

    for name in ("write", "rename", "delete"):
        patch.setattr(FileSystem, name, failing(getattr(FileSystem, name)))
    return patch.undo


@pytest.fixture(scope="module")
def prepared(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Batches of which some were replaced long ago and one was begun and not finished."""
    root = tmp_path_factory.mktemp("prepared")
    vectors = vectors_at(spark, root)
    append(vectors, "a")
    append(vectors, "b")
    vectors.compact("e")
    append(vectors, "c")
    vectors.compact("e")
    unfinished = append(vectors, "never")
    (root / f"embeddings/encoder_id=e/{unfinished}/{MANIFEST}").unlink()
    append(vectors, "d")
    return root


@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after it"])
@pytest.mark.parametrize("what", ["append", "compact"])
def test_a_crash_between_any_two_changes_loses_and_doubles_nothing(
    what: str, after: bool, spark: SparkSession, prepared: Path, tmp_path: Path
) -> None:
    there = ["a", "b", "c", "d"]
    for step in range(40):
        root = tmp_path / str(step)
        shutil.copytree(prepared, root)
        vectors = vectors_at(spark, root)
        later(vectors)
        work = partial(append, vectors, "e", "f") if what == "append" else partial(vectors.compact, "e")
        result = [*there, "e", "f"] if what == "append" else there
        end = crash_at(step, after=after)
        try:
            work()
        except Crash:
            crashed = True
        else:
            crashed = False
        finally:
            end()
        assert sorted(bits(vectors)) in ([there, result] if crashed else [result])
        # What was replaced long ago does not count again while it is swept.
        assert not shuffles(vectors.snapshot("e").read())
        if not crashed:
            break
        if sorted(bits(vectors)) != result or what == "compact":
            work()
        assert sorted(bits(vectors)) == result
    # A compaction ends with four batches swept, of a manifest and a folder each, and one that has no manifest.
    assert step >= (1 if what == "append" else 10)
    later(vectors)
    vectors.compact("e")
    later(vectors)
    vectors.compact("e")
    assert len(folders(root)) == 1
    assert sorted(bits(vectors)) == result


@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after it"])
def test_a_crash_while_an_encoder_is_dropped_leaves_whole_batches_and_a_repeat_finishes(
    after: bool, spark: SparkSession, prepared: Path, tmp_path: Path
) -> None:
    for step in range(40):
        root = tmp_path / str(step)
        shutil.copytree(prepared, root)
        vectors = vectors_at(spark, root)
        later(vectors)
        end = crash_at(step, after=after)
        try:
            vectors.drop("e")
        except Crash:
            end()
            assert set(bits(vectors)) <= {"a", "b", "c", "d"}
            vectors.drop("e")
            later(vectors)
            vectors.drop("e")
        else:
            end()
            break
        assert not (root / "embeddings/encoder_id=e").exists()
    assert step > 10
