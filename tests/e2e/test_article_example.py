"""The article's seven-row table: profiles, training, and user 3's cosine, log P and rank of each item."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from recsys_spark import tables
from recsys_spark.config.file import load_config
from recsys_spark.pipeline import run_pipeline
from recsys_spark.steps.context import Context

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "article_example.md"
RUN_DATE = "2026-01-02"


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Context:
    store = str(tmp_path_factory.mktemp("article"))
    cfg = load_config(ROOT / "docs" / "examples" / "article" / "article.toml", {"run.store": store})
    return run_pipeline(spark, cfg, RUN_DATE)


@pytest.fixture(scope="module")
def of_user_3(run: Context) -> list[Row]:
    return run.store.lists.published(RUN_DATE).where("user_id = '3'").orderBy("rank").collect()


def test_profiles_hold_the_behaviours_with_their_weights(run: Context) -> None:
    profiles = {row["user_id"]: row for row in run.table("profiles", tables.USER_PROFILES).collect()}
    history = {(e["item_id"], e["behaviour"]) for e in profiles["1"]["history"]}
    assert history == {("1", "购买"), ("2", "浏览"), ("3", "浏览")}
    weights = {e["behaviour"]: e["weight"] for e in profiles["1"]["history"]}
    assert weights["购买"] == pytest.approx(3 * weights["浏览"])


def test_score_is_cosine_plus_log_p_and_p_sums_to_one(of_user_3: list[Row]) -> None:
    assert [row["rank"] for row in of_user_3] == [1, 2, 3]
    assert {row["item_id"] for row in of_user_3} == {"1", "2", "3"}
    for row in of_user_3:
        assert row["score"] == pytest.approx(row["cosine"] + row["log_prob"], abs=1e-6)
        assert -1 <= row["cosine"] <= 1
    assert sum(math.exp(row["log_prob"]) for row in of_user_3) == pytest.approx(1.0, abs=1e-6)
    assert [row["score"] for row in of_user_3] == sorted((row["score"] for row in of_user_3), reverse=True)


def test_the_page_shows_what_the_example_gives(of_user_3: list[Row]) -> None:
    """Training on seven rows turns the last bits, which differ between processors, into some hundredths of log P."""
    shown = re.findall(
        r"^\| (\d) \| (\d) \| [^|]+ \| (-?[\d.]+) \| (-?[\d.]+) \| (-?[\d.]+) \|", PAGE.read_text(), re.M
    )
    assert len(shown) == 3
    for (rank, item, *numbers), row in zip(shown, of_user_3, strict=True):
        assert (int(rank), item) == (row["rank"], row["item_id"])
        assert [float(n) for n in numbers] == pytest.approx([row["cosine"], row["log_prob"], row["score"]], abs=0.15)
