"""What every re-ranking rule promises: the test class of a rule inherits it and says when the rule is on and off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.reranking.rules import apply_rules, candidates_needed
from recsys_spark.reranking.rules.rule import RULE_COLUMNS, Rule
from tests.builders import config
from tests.steps.recording import Recorded, is_declared

TOP_N = 3
SCHEMA = (
    "user_id string, rank int, item_id string, score double, cosine double, log_prob double, source string, "
    "category string, labels array<string>"
)
Sections = Mapping[str, Mapping[str, Any]]
Row = tuple[Any, ...]


def lists_of(**users: str) -> list[Row]:
    """Rows of RULE_COLUMNS; a user's list is one letter per item, its category, and "-" where the item has none."""
    return [
        (
            user,
            place,
            f"i{place:02}",
            -float(place),
            0.0,
            -float(place),
            "history",
            None if kind == "-" else kind,
            [kind],
        )
        for user, kinds in users.items()
        for place, kind in enumerate(kinds, start=1)
    ]


def listed(rows: DataFrame) -> dict[str, list[str]]:
    """User -> item ids by rank; ranks run from 1 without gaps."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in rows.collect():
        found.setdefault(row.user_id, []).append((row["rank"], row.item_id))
    for user, ranked in found.items():
        assert sorted(place for place, _ in ranked) == list(range(1, len(ranked) + 1)), user
    return {user: [item for _, item in sorted(ranked)] for user, ranked in found.items()}


class RuleContract:
    """Inherit it, set ``rule``, ``on`` and ``off``."""

    rule: ClassVar[Rule]
    on: ClassVar[Sections]
    """Sections of the configuration with which the rule is on."""
    off: ClassVar[Sections]

    ROWS: ClassVar = lists_of(plain="abcdef", one_kind="aaaaaa", odd="--aab-", short="ba", single="c")

    def cfg(self, sections: Sections) -> Config:
        return config(**{"run": {"top_n": TOP_N}, **sections})

    def applied(self, rows: DataFrame, sections: Sections) -> DataFrame:
        return apply_rules(rows, self.cfg(sections), [self.rule])

    @pytest.fixture
    def rows(self, spark: SparkSession) -> DataFrame:
        return spark.createDataFrame(self.ROWS, SCHEMA)

    def test_a_rule_that_is_off_changes_nothing(self, rows: DataFrame) -> None:
        assert not self.rule.is_on(self.cfg(self.off))
        assert sorted(self.applied(rows, self.off).collect()) == sorted(rows.collect())
        assert candidates_needed(self.cfg(self.off), [self.rule]) == TOP_N

    def test_nobody_is_nobodys_list(self, rows: DataFrame) -> None:
        assert self.applied(rows.limit(0), self.on).collect() == []

    def test_columns_stay_as_they_are(self, rows: DataFrame) -> None:
        found = self.applied(rows, self.on)
        assert found.columns == list(RULE_COLUMNS)
        terms = [name for name in RULE_COLUMNS if name != "rank"]
        assert found.select(terms).exceptAll(rows.select(terms)).isEmpty()

    def test_items_that_are_alike_stay_in_order_of_their_ids(self, rows: DataFrame) -> None:
        """Candidates of one score are ranked by item_id, and a rule cannot tell items of one category apart."""
        alike = rows.where("user_id = 'one_kind'").withColumn("score", F.lit(0.5))
        [items] = listed(self.applied(alike, self.on)).values()
        assert items == sorted(items)

    def test_no_list_becomes_shorter_than_what_is_published(self, rows: DataFrame) -> None:
        before, after = listed(rows), listed(self.applied(rows, self.on))
        assert after.keys() == before.keys()
        for user, items in after.items():
            assert len(items) >= min(len(before[user]), TOP_N), user

    def test_partitions_and_order_do_not_matter(self, rows: DataFrame) -> None:
        other = rows.orderBy(F.desc("item_id")).repartition(5, "item_id")
        assert sorted(self.applied(other, self.on).collect()) == sorted(self.applied(rows, self.on).collect())

    def test_the_rule_reads_the_settings_that_it_declares_and_needs_at_least_a_list(self, rows: DataFrame) -> None:
        reads: list[str] = []
        cfg = cast(Config, Recorded(self.cfg(self.on), reads.append))
        assert self.rule.is_on(cfg)
        self.rule.apply(rows, cfg)
        assert self.rule.candidates(cfg) >= TOP_N
        assert [key for key in reads if not is_declared(key, self.rule.settings)] == []
        assert [key for key in self.rule.settings if key not in reads] == []
