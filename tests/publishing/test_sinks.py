"""Every listed sink keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.publishing.sinks.folder import FolderSink
from recsys_spark.publishing.sinks.registry import SINKS
from recsys_spark.spark.filesystem import FileSystem
from tests.publishing.sink_contract import DAY, SinkContract


class TestFolder(SinkContract):
    name = "folder"

    def sink(self, spark: SparkSession, folder: Path) -> FolderSink:
        return FolderSink(spark, FileSystem(spark), str(folder / "recommendations"))

    def test_a_crash_between_two_moves_is_put_right(
        self, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sink = self.sink(spark, tmp_path)
        sink.publish(DAY, self.lists(spark, "u1"), {"n": 1})
        move, moves = sink.files.rename, []

        def second_fails(source: str, target: str) -> None:
            moves.append(target)
            if len(moves) == 2:
                raise OSError("the driver is gone")
            move(source, target)

        monkeypatch.setattr(sink.files, "rename", second_fails)
        with pytest.raises(OSError, match="driver is gone"):
            sink.publish(DAY, self.lists(spark, "u2"), {"n": 2})
        monkeypatch.undo()
        assert sink.manifest(DAY) is None
        sink.recover(DAY)
        assert sink.manifest(DAY) == {"n": 1}


def test_each_listed_sink_has_its_contract_test() -> None:
    assert set(SINKS) == {kind.name for kind in SinkContract.__subclasses__()}  # type: ignore[attr-defined]
