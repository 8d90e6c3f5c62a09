"""The re-ranking rules: the contract of each, what each does, and that one more is a file and an entry."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sections import MAX_PER_USER
from recsys_spark.reranking.rerank import choose
from recsys_spark.reranking.rules import RULES, apply_rules, candidates_needed, category_cap, top_n, with_settings
from recsys_spark.steps import rerank, score
from recsys_spark.tables import CANDIDATES, ITEM_PROFILES
from tests.builders import config, frame
from tests.reranking import planted_rule
from tests.reranking.rule_contract import SCHEMA, RuleContract, listed, lists_of
from tests.steps.recording import is_declared


class TestCategoryCap(RuleContract):
    rule = category_cap.RULE
    on: ClassVar = {"rerank": {"max_per_category": 1}}
    off: ClassVar = {"rerank": {"max_per_category": 0}}


class TestTopN(RuleContract):
    rule = top_n.RULE
    on: ClassVar = {}
    off: ClassVar = {"score": {"top_n_per": "category"}}


class TestPlanted(RuleContract):
    rule = planted_rule.RULE
    on: ClassVar = {"spark": {"planted.first": "c"}}
    off: ClassVar = {}


def test_the_first_items_of_each_category_come_first_and_the_others_follow(spark: SparkSession) -> None:
    rows = spark.createDataFrame(lists_of(u="aaabb-a-"), SCHEMA)
    cfg = config(rerank={"max_per_category": 2}, run={"top_n": 7})
    assert listed(apply_rules(rows, cfg))["u"] == ["i01", "i02", "i04", "i05", "i06", "i08", "i03"]


@pytest.mark.parametrize(
    ("sections", "needed"),
    [
        ({}, 20),
        ({"rerank": {"max_per_category": 2}}, 30),
        ({"score": {"top_n_per": "category"}}, 20),
        ({"rerank": {"max_per_category": 2}, "run": {"top_n": 900}}, MAX_PER_USER),
    ],
)
def test_scoring_finds_as_many_candidates_as_the_rules_need(
    sections: dict[str, dict[str, object]], needed: int
) -> None:
    cfg = config(**{**sections, "run": {"top_n": 20, **sections.get("run", {})}})
    cfg = cfg.model_copy(update={"score": cfg.score.model_copy(update={"oversample": 1.5})})
    assert candidates_needed(cfg) == needed


def test_the_stages_that_use_the_rules_declare_their_settings() -> None:
    for stage in (score.STAGE, rerank.STAGE):
        assert [key for rule in RULES for key in rule.settings if not is_declared(key, stage.settings)] == []
    assert with_settings("score", "run.top_n", rules=(planted_rule.RULE,)) == ("score", "run.top_n", "spark")


def test_one_more_rule_is_a_file_and_an_entry(spark: SparkSession) -> None:
    names = ("user_id", "rank", "item_id", "score", "source")
    rows = [dict(zip(names, (row[0], row[1], row[2], row[3], row[6]), strict=True)) for row in lists_of(u="abbcca")]
    profiles = [{"item_id": row[2], "category": row[7], "tags": ["New"]} for row in lists_of(u="abbcca")]
    tables = frame(spark, CANDIDATES, rows), frame(spark, ITEM_PROFILES, profiles)
    cfg = config(run={"top_n": 3}, rerank={"max_per_category": 1}, spark={"planted.first": "c"})
    assert listed(choose(*tables, cfg))["u"] == ["i01", "i02", "i04"]
    chosen = choose(*tables, cfg, rules=(planted_rule.RULE, *RULES))
    assert listed(chosen)["u"] == ["i04", "i01", "i02"]
    assert chosen.where("item_id = 'i04'").head()["labels"] == ["c", "new"]
