"""What every sink promises. A test class of a sink inherits this one and says how the sink is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.errors import StoreError
from recsys_spark.publishing.sinks.sink import Sink
from recsys_spark.tables import RECOMMENDATIONS
from tests.builders import frame

DAY, NEXT_DAY = "2026-01-01", "2026-01-02"


class SinkContract:
    """Round trip, replacement of exactly one date, empty lists, determinism, nothing half-written after a failure."""

    def sink(self, spark: SparkSession, folder: Path) -> Sink:
        raise NotImplementedError

    def lists(self, spark: SparkSession, *users: str) -> DataFrame:
        rows = [
            {"user_id": user, "rank": rank, "item_id": f"物 {rank}", "score": 1.5 / rank, "reasons": [f"r{rank}"]}
            for user in users
            for rank in (1, 2)
        ]
        return frame(spark, RECOMMENDATIONS, rows)

    def rows(self, sink: Sink, day: str = DAY) -> list[dict[str, Any]]:
        found = sink.published(day).select(*RECOMMENDATIONS.names).orderBy("user_id", "rank").collect()
        return [row.asDict(recursive=True) for row in found]

    def test_what_is_published_is_read_back_with_its_manifest(self, spark: SparkSession, tmp_path: Path) -> None:
        sink, manifest = self.sink(spark, tmp_path), {"n": 1, "name": "é 好", "rows": {"train": {"x": 2}}}
        given = self.lists(spark, "u1", "u2")
        assert sink.publish(DAY, given, manifest) == sink.path(DAY)
        assert self.rows(sink) == [row.asDict(recursive=True) for row in given.orderBy("user_id", "rank").collect()]
        assert sink.manifest(DAY) == manifest

    def test_a_rerun_replaces_exactly_one_date_and_gives_the_same(self, spark: SparkSession, tmp_path: Path) -> None:
        sink = self.sink(spark, tmp_path)
        sink.publish(DAY, self.lists(spark, "u1", "u2"), {"n": 1})
        sink.publish(NEXT_DAY, self.lists(spark, "u9"), {"n": 9})
        before = self.rows(sink)
        sink.publish(DAY, self.lists(spark, "u2", "u1"), {"n": 2})
        assert self.rows(sink) == before
        sink.publish(DAY, self.lists(spark, "u3"), {"n": 3})
        assert [row["user_id"] for row in self.rows(sink)] == ["u3", "u3"]
        assert (sink.manifest(DAY), sink.manifest(NEXT_DAY)) == ({"n": 3}, {"n": 9})
        assert [row["user_id"] for row in self.rows(sink, NEXT_DAY)] == ["u9", "u9"]

    def test_empty_lists_are_published_as_such(self, spark: SparkSession, tmp_path: Path) -> None:
        sink = self.sink(spark, tmp_path)
        sink.publish(DAY, self.lists(spark, "u1"), {"n": 1})
        sink.publish(DAY, self.lists(spark), {"n": 0})
        assert self.rows(sink) == []
        assert sink.manifest(DAY) == {"n": 0}

    def test_lists_that_fail_half_way_are_never_seen(self, spark: SparkSession, tmp_path: Path) -> None:
        sink = self.sink(spark, tmp_path)
        broken = self.lists(spark, *(f"u{n}" for n in range(50))).withColumn(
            "score", F.when(F.col("user_id") == "u49", F.raise_error(F.lit("half-way"))).otherwise(F.col("score"))
        )
        with pytest.raises(Exception, match="half-way"):
            sink.publish(DAY, broken, {"n": 1})
        assert sink.manifest(DAY) is None
        with pytest.raises(StoreError, match="Nothing was published"):
            sink.published(DAY)
        sink.publish(DAY, self.lists(spark, "u1"), {"n": 2})
        with pytest.raises(Exception, match="half-way"):
            sink.publish(DAY, broken, {"n": 3})
        assert [row["user_id"] for row in self.rows(sink)] == ["u1", "u1"]
        sink.recover(DAY)
        assert sink.manifest(DAY) == {"n": 2}
