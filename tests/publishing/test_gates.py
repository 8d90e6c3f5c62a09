"""Gates: each can refuse, and says which it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sections import Publish
from recsys_spark.errors import PublishRefused
from recsys_spark.publishing.gates import GATES, Gate, Night, Reading, check_gates
from recsys_spark.publishing.list_facts import ListFacts, list_facts
from recsys_spark.tables import RECOMMENDATIONS
from tests.builders import frame
from tests.publishing.gate_contract import LISTS, NIGHT, GateContract


def recommended(user: str, rank: int, score: float | None = 1.0) -> dict[str, object]:
    return {"user_id": user, "rank": rank, "item_id": f"i{rank}", "score": score}


@pytest.mark.parametrize(
    ("facts", "metrics", "n_rejected", "gate"),
    [
        (replace(LISTS, n_lists=4), 0.5, 0, "publish.min_users"),
        (replace(LISTS, n_full=8), 0.5, 0, "publish.min_full_share"),
        (replace(LISTS, n_bad_scores=1), 0.5, 0, "scores that are not a number"),
        (LISTS, 0.1, 0, "publish.min_metric ndcg@10"),
        (LISTS, None, 0, "publish.min_metric ndcg@10"),
        (LISTS, 0.5, 60, "publish.max_rejected_share"),
    ],
)
def test_a_gate_that_does_not_hold_refuses_by_name(
    facts: ListFacts, metrics: float | None, n_rejected: int, gate: str
) -> None:
    gates = Publish(min_users=5, min_full_share=0.9, min_metric={"ndcg@10": 0.2})
    known = {} if metrics is None else {"ndcg@10": metrics}
    with pytest.raises(PublishRefused) as caught:
        check_gates(gates, Night(facts, known, n_rejected=n_rejected, n_input=100))
    assert caught.value.where == gate


def test_gates_that_hold_are_told() -> None:
    told = check_gates(Publish(), Night(LISTS, {}, n_rejected=1, n_input=100))
    assert any(line.startswith("publish.min_users: 10 >= 1") for line in told)


def test_a_list_is_full_with_all_that_a_user_may_get(spark: SparkSession) -> None:
    rows = [
        *(recommended("full", rank) for rank in (1, 2, 3)),
        *(recommended("short", rank) for rank in (1, 2)),
        # 4 items are available and 2 excluded: this user can have no more than 2.
        *(recommended("saturated", rank) for rank in (1, 2)),
        recommended("broken", 1, float("nan")),
        recommended("broken", 2, None),
        recommended("broken", 3, float("-inf")),
    ]
    excluded = spark.createDataFrame([("saturated", "i8"), ("saturated", "i9")], "user_id string, item_id string")
    users = spark.createDataFrame([(u,) for u in ("full", "short", "saturated", "broken", "no list")], "user_id string")
    [facts] = list_facts(frame(spark, RECOMMENDATIONS, rows), users, excluded, top_n=3, n_available=4).collect()
    assert facts.asDict() == {"n_users": 5, "n_lists": 4, "n_full": 3, "n_bad_scores": 3}


class TestUsers(GateContract):
    gate, told, cfg = "users", "publish.min_users: 5 >= 5", {"min_users": 5}
    at_bound, beyond = {"lists": {"n_lists": 5}}, {"lists": {"n_lists": 4}}


class TestFullLists(GateContract):
    gate, told, cfg = "full lists", "publish.min_full_share: 0.9 >= 0.9", {"min_full_share": 0.9}
    at_bound, beyond = {"lists": {"n_full": 9}}, {"lists": {"n_full": 8}}


class TestFiniteScores(GateContract):
    gate, told = "finite scores", "scores that are not a number: 0 <= 0"
    at_bound, beyond = {"lists": {"n_bad_scores": 0}}, {"lists": {"n_bad_scores": 1}}


class TestRejectedRows(GateContract):
    gate, told, cfg = "rejected rows", "publish.max_rejected_share: 0.25 <= 0.25", {"max_rejected_share": 0.25}
    at_bound, beyond = {"n_rejected": 25}, {"n_rejected": 26}


class TestMetrics(GateContract):
    gate, told, cfg = "metrics", "publish.min_metric ndcg@10: 0.2 >= 0.2", {"min_metric": {"ndcg@10": 0.2}}
    at_bound, beyond = {"metrics": {"ndcg@10": 0.2}}, {"metrics": {"ndcg@10": 0.19}}


def test_each_gate_has_its_contract_test_and_each_key_its_gate() -> None:
    assert {kind.gate for kind in GateContract.__subclasses__()} == set(GATES)
    assert {gate.key for gate in GATES.values()} - {None} == set(Publish.model_fields)


def test_a_planted_gate_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Gate(None, ">=", lambda _, night: [Reading("even number of users", -(night.lists.n_users % 2), 0)])
    monkeypatch.setitem(GATES, "even", planted)
    assert check_gates(Publish(), NIGHT)[-1] == "even number of users: 0 >= 0"
    with pytest.raises(PublishRefused, match="even number of users does not hold"):
        check_gates(Publish(), replace(NIGHT, lists=replace(LISTS, n_users=11, n_full=11)))
