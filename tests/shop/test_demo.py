"""The folder of the demo: its configuration and its shop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.errors import ConfigError
from recsys_spark.shop import demo


def test_an_edited_config_is_kept(tmp_path: Path):
    config = demo.place_config(tmp_path / "new")
    assert "[sources.behaviours]" in config.read_text()
    config.write_text("edited")
    assert demo.place_config(tmp_path / "new").read_text() == "edited"


def test_a_shop_is_generated_once_and_never_over_another(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []

    def generate(spark: SparkSession, out: str, **sizes: int) -> None:
        calls.append(sizes["n_users"])
        Path(out).mkdir(exist_ok=True)

    monkeypatch.setattr(demo, "generate_shop", generate)
    sizes = {"n_users": 100, "n_items": 60, "n_behaviours": 1000, "seed": 7}
    assert demo.ensure_shop(spark, tmp_path / "shop", sizes) is True
    assert demo.ensure_shop(spark, tmp_path / "shop", sizes) is False
    with pytest.raises(ConfigError, match="another --dir"):
        demo.ensure_shop(spark, tmp_path / "shop", {**sizes, "n_users": 200})
    assert calls == [100]
    assert json.loads((tmp_path / "shop/_GENERATED.json").read_text()) == sizes
