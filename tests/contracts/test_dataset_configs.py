"""Every configuration that the project ships can be read, and maps onto the contract."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.file import load_config
from recsys_spark.config.sections import Config
from recsys_spark.config.sources import Source
from recsys_spark.contract import CONTRACT
from recsys_spark.ingest.sources import read_table

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(f.relative_to(CONF).as_posix() for f in CONF.rglob("*.toml") if "spark" not in f.relative_to(CONF).parts)
DATASETS = [name for name in FILES if name.startswith("datasets/")]


@pytest.fixture
def dummy_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_DATA_DIR", "/dummy")
    monkeypatch.setenv("RECSYS_MULTILINGUAL_ENCODER", "/dummy/encoder")


def sources_of(cfg: Config) -> dict[str, list[Source]]:
    return {name: cfg.sources.of(name) for name in CONTRACT}


def test_the_promised_files_are_there() -> None:
    promised = ["movielens", "amazon_beauty", "steam", "lastfm", "mooccubex"]
    assert {f"datasets/{name}.toml" for name in promised} <= set(FILES)
    assert {"ecommerce.toml", "social.toml", "education.toml"} <= set(FILES)


@pytest.mark.usefixtures("dummy_folders")
@pytest.mark.parametrize("name", FILES)
def test_a_shipped_configuration_is_valid(name: str) -> None:
    cfg = load_config(CONF / name)
    assert cfg.behaviours.weights
    for table, sources in sources_of(cfg).items():
        required = {col.name for col in CONTRACT[table].table.columns if not col.nullable}
        for source in sources:
            assert required <= set(source.columns) <= set(CONTRACT[table].table.names)


@pytest.mark.usefixtures("dummy_folders")
@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_says_how_to_run_it_and_where_its_data_are(name: str) -> None:
    head = "\n".join(line for line in (CONF / name).read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert f"./submit.sh pipeline --config conf/{name} --run-date " in head
    cfg = load_config(CONF / name)
    for sources in sources_of(cfg).values():
        assert all(str(source.path).startswith("/dummy/") for source in sources)


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_maps_onto_the_contract(name: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    if "RECSYS_DATA_DIR" not in os.environ:
        pytest.skip("RECSYS_DATA_DIR is not set: the real data sets are not on this machine")
    monkeypatch.setenv("RECSYS_MULTILINGUAL_ENCODER", "/dummy/encoder")
    for table, sources in sources_of(load_config(CONF / name)).items():
        if sources:
            now = datetime(2026, 1, 1, tzinfo=UTC)
            mapped = read_table(spark, CONTRACT[table].table, sources, where=f"sources.{table}", now=now)
            assert len(mapped.accepted.take(3)) == 3
