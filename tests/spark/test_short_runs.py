"""Small inputs get settings of their own; what the user chose stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.spark.footers import n_written
from recsys_spark.spark.session import chosen_properties
from recsys_spark.spark.short_runs import (
    DEFAULTED,
    JAVA_OPTIONS,
    SHORT_BYTES,
    SHORT_JAVA,
    SMALL_BYTES,
    SMALL_SQL,
    local_bytes,
    small_input,
)

ADAPTIVE, PARTITIONS = "spark.sql.adaptive.enabled", "spark.sql.shuffle.partitions"


def test_a_short_run_in_local_mode_gets_javas_quick_compiler() -> None:
    assert chosen_properties({}, None, n_bytes=10).items() >= SHORT_JAVA.items()
    assert chosen_properties({JAVA_OPTIONS: "-Xss4m"}, None, n_bytes=10)[JAVA_OPTIONS] == "-Xss4m"
    for unfit in (
        chosen_properties({}, None, n_bytes=SHORT_BYTES + 1),
        chosen_properties({}, None),
        chosen_properties({"spark.master": "yarn"}, None, n_bytes=10),
        chosen_properties({}, {"spark.master": "local[2]"}, n_bytes=10),
    ):
        assert JAVA_OPTIONS not in unfit


def test_properties_say_which_settings_nobody_chose() -> None:
    assert chosen_properties({}, None)[DEFAULTED] == PARTITIONS
    assert DEFAULTED not in chosen_properties({PARTITIONS: "8"}, None)
    assert DEFAULTED not in chosen_properties({}, {"spark.master": "local[2]", PARTITIONS: "8"})


def test_bytes_are_those_of_local_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.csv").write_text("12345")
    (tmp_path / "y.csv").write_text("123")
    assert local_bytes([str(tmp_path / "a"), f"file://{tmp_path}/*.csv", str(tmp_path / "none")]) == 8
    assert local_bytes([str(tmp_path), None]) is None
    assert local_bytes(["s3a://bucket/x"]) is None
    (tmp_path / "a" / "gone.csv").symlink_to(tmp_path / "nothing")
    assert local_bytes([str(tmp_path / "a")]) is None


@pytest.mark.parametrize("name", ["plain", "[a] {b}"])
@pytest.mark.parametrize("n", [0, 7])
def test_rows_are_counted_whatever_the_folder_is_called(spark: SparkSession, tmp_path: Path, name: str, n: int) -> None:
    spark.range(n).write.parquet(str(tmp_path / name))
    assert n_written(spark, str(tmp_path / name)) == n


def test_settings_of_a_small_input_end_with_the_block(spark: SparkSession) -> None:
    before = {key: spark.conf.get(key) for key in SMALL_SQL}
    with small_input(spark, SMALL_BYTES):
        # The session of the tests chose its partitions.
        assert {key: spark.conf.get(key) for key in SMALL_SQL} == SMALL_SQL | {PARTITIONS: before[PARTITIONS]}
    assert {key: spark.conf.get(key) for key in SMALL_SQL} == before
    for n_bytes in (None, SMALL_BYTES + 1):
        with small_input(spark, n_bytes):
            assert {key: spark.conf.get(key) for key in SMALL_SQL} == before


@pytest.mark.parametrize("value", ["true", "false"])
def test_a_setting_that_the_session_was_given_stays(spark: SparkSession, value: str) -> None:
    spark.conf.set(ADAPTIVE, value)
    try:
        with small_input(spark, 1):
            assert spark.conf.get(ADAPTIVE) == value
    finally:
        spark.conf.unset(ADAPTIVE)
