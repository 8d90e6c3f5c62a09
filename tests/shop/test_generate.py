"""The generated files: equal for any number of tasks, of the requested size, readable with the demo's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.file import load_config
from recsys_spark.config.sources import Source
from recsys_spark.errors import ConfigError
from recsys_spark.shop.behaviours import dirt_counts
from recsys_spark.shop.demo import place_config
from recsys_spark.shop.generate import generate_shop
from recsys_spark.shop.items import n_dirty_items
from recsys_spark.shop.users import n_dirty_users

SIZES = {"n_users": 150, "n_items": 90, "n_behaviours": 3_000}
TABLES = ("behaviours", "items", "users", "relations")


@pytest.fixture(scope="module")
def demo(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo folder: its config and a small shop written by one task per table."""
    folder = tmp_path_factory.mktemp("demo")
    place_config(folder)
    generate_shop(spark, str(folder / "shop"), **SIZES, seed=5, n_tasks=1)
    return folder


def source(folder: Path, table: str) -> Source:
    [only] = getattr(load_config(folder / "demo.toml").sources, table)
    return only


def read(spark: SparkSession, folder: Path, table: str) -> DataFrame:
    found = source(folder, table)
    return spark.read.format(found.format).options(**found.options).load(found.path)


def test_the_number_of_tasks_changes_no_row(spark: SparkSession, demo: Path, tmp_path: Path):
    place_config(tmp_path)
    generate_shop(spark, str(tmp_path / "shop"), **SIZES, seed=5, n_tasks=3)
    for table in TABLES:
        one, three = read(spark, demo, table), read(spark, tmp_path, table)
        assert sorted(map(str, one.collect())) == sorted(map(str, three.collect()))


def test_sizes_are_what_was_asked_for(spark: SparkSession, demo: Path):
    n_behaviours, n_items, n_users = SIZES["n_behaviours"], SIZES["n_items"], SIZES["n_users"]
    assert read(spark, demo, "behaviours").count() == n_behaviours + sum(dirt_counts(n_behaviours).values())
    assert read(spark, demo, "items").count() == n_items + sum(n_dirty_items(n_items).values())
    assert read(spark, demo, "users").count() == n_users + n_dirty_users(n_users)
    assert read(spark, demo, "users").where("id IS NOT NULL").distinct().count() == n_users


def test_the_demo_config_maps_every_table(spark: SparkSession, demo: Path):
    for table in TABLES:
        mapped = read(spark, demo, table).select(
            *(F.expr(expression).alias(name) for name, expression in source(demo, table).columns.items())
        )
        assert mapped.count() > 0
        if table == "behaviours":
            assert mapped.where("ts < '2026-06-01' AND ts >= '2025-12-01'").count() >= SIZES["n_behaviours"]
        if table == "items":
            assert mapped.where("size(tags) < 2 OR size(attributes) < 2").count() == 0
        if table == "relations":
            assert mapped.where("weight BETWEEN 0.2 AND 1").count() > 0.9 * mapped.count()


def test_a_shop_that_is_too_small_is_refused_with_the_least_size(spark: SparkSession, tmp_path: Path):
    with pytest.raises(ConfigError, match="60 or more"):
        generate_shop(spark, str(tmp_path), n_items=10)
    assert list(tmp_path.iterdir()) == []
