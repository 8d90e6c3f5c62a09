"""What every baseline promises. A test class of a baseline inherits this one and names the baseline."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recsys_spark.contract import INTERACTIONS
from recsys_spark.evaluation.baselines.baseline import Baseline, Known
from recsys_spark.evaluation.baselines.registry import BASELINES, build_baseline_lists
from recsys_spark.tables import ITEM_PROFILES, ITEM_VECTORS, USER_VECTORS
from tests.builders import config, frame, interaction

TASTES = [("u1", "a"), ("u1", "twin1"), ("u1", "twin2"), ("u2", "b"), ("u2", "twin2"), ("u2", "twin1"), ("u3", "gone")]
ITEMS = ("a", "b", "c", "gone", "twin1", "twin2")
SEEN = {("u1", "a"), ("u2", "b")}
N = 3


class BaselineContract:
    """Shapes, order of ties, empty input, determinism, and nothing excluded in a list."""

    baseline: ClassVar[Baseline]
    by_evidence: ClassVar[bool] = True
    """Whether items of equal evidence follow by id."""

    @pytest.fixture(autouse=True)
    def _listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(BASELINES, self.baseline.name, self.baseline)

    def known(self, spark: SparkSession, users: tuple[str, ...], tastes: list[tuple[str, str]]) -> Known:
        rows = [interaction(user, item) for user, item in tastes]
        catalogue = [{"item_id": item, "available": item != "gone"} for item in ITEMS]
        return Known(
            frame(spark, INTERACTIONS, rows),
            frame(spark, ITEM_PROFILES, catalogue),
            spark.createDataFrame([(user,) for user in users], "user_id string"),
            config(evaluate={"als_rank": 2}),
        )

    def lists(
        self, spark: SparkSession, users: tuple[str, ...], tastes: list[tuple[str, str]], seen: set[tuple[str, str]]
    ) -> dict[str, list[str]]:
        excluded = spark.createDataFrame(sorted(seen), "user_id string, item_id string")
        built = build_baseline_lists([self.baseline.name], self.known(spark, users, tastes), excluded, n=N)
        found: dict[str, list[str]] = {}
        for row in sorted(built[self.baseline.name].collect(), key=lambda row: (row["user_id"], row["rank"])):
            found.setdefault(row["user_id"], []).append(row["item_id"])
            assert row["rank"] == len(found[row["user_id"]]), "ranks count from 1 without gaps"
        return found

    def test_vectors_are_tables_of_one_width_and_the_same_each_time(self, spark: SparkSession) -> None:
        def drawn() -> list[dict[str, tuple[float, ...]]]:
            users, items = self.baseline.vectors(self.known(spark, ("u1", "u2", "new"), TASTES))
            assert users.schema.simpleString() == USER_VECTORS.schema.simpleString()
            assert items.schema.simpleString() == ITEM_VECTORS.schema.simpleString()
            of_users, of_items = users.collect(), items.collect()
            found = [
                {row["user_id"]: tuple(row["x"]) for row in of_users},
                {row["item_id"]: (*row["theta"], row["bias"]) for row in of_items},
            ]
            assert [len(names) for names in found] == [len(of_users), len(of_items)], "one row an id"
            return found

        users, items = once = drawn()
        assert len({len(x) for x in users.values()} | {len(theta) - 1 for theta in items.values()}) == 1
        assert np.isfinite([list(vector) for vector in items.values()]).all()
        assert ("new" in users) == self.baseline.knows_everyone
        assert drawn() == once

    def test_everyone_gets_a_list_without_what_is_excluded_or_gone(self, spark: SparkSession) -> None:
        found = self.lists(spark, ("u1", "u2", "new"), TASTES, SEEN)
        assert found.keys() == {"u1", "u2", "new"}
        for user, items in found.items():
            assert len(items) == len(set(items)) > 0
            assert "gone" not in items
            assert not {(user, item) for item in items} & SEEN
            if self.by_evidence:
                # The twins have the same evidence, so their order is by id.
                assert "twin1" not in items or items[items.index("twin1") + 1 :][:1] in ([], ["twin2"])
                assert "twin2" not in items or "twin1" in items

    def test_without_interactions_everyone_gets_a_full_list_by_id(self, spark: SparkSession) -> None:
        found = self.lists(spark, ("u1", "new"), [], set())
        assert {user: len(items) for user, items in found.items()} == {"u1": N, "new": N}
        assert not self.by_evidence or found == {"u1": ["a", "b", "c"], "new": ["a", "b", "c"]}

    def test_without_users_there_are_no_lists(self, spark: SparkSession) -> None:
        assert self.lists(spark, (), TASTES, set()) == {}
