"""Cut, truth, held-out pairs and metrics, on small tables with answers worked out by hand or by an oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from recsys_spark.contract import INTERACTIONS
from recsys_spark.errors import ConfigError, DataError
from recsys_spark.evaluation.backtest import build_held_out, build_metrics, build_truth, choose_cut
from recsys_spark.evaluation.kernels.metrics import METRICS as MEASURED
from recsys_spark.tables import METRICS
from tests.builders import AS_OF, config, frame, interaction

Key = tuple[str, str, str, int]


def pairs(spark: SparkSession, rows: Sequence[tuple[str, str]]) -> DataFrame:
    return spark.createDataFrame(list(rows), "user_id string, item_id string")


def lists_of(spark: SparkSession, lists: Mapping[str, Sequence[str]]) -> DataFrame:
    rows = [(user, rank, item) for user, items in lists.items() for rank, item in enumerate(items, 1)]
    return spark.createDataFrame(rows, "user_id string, rank int, item_id string")


def segments_of(spark: SparkSession, segments: Mapping[str, str]) -> DataFrame:
    return spark.createDataFrame(list(segments.items()), "user_id string, segment string")


def by_key(metrics: DataFrame) -> dict[Key, Row]:
    rows = METRICS.conform(metrics).collect()
    found = {(row.model, row.segment, row.metric, row.k): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture(scope="module")
def small(spark: SparkSession) -> dict[Key, Row]:
    """Users u1 (light), u2 (heavy), u3 (light, no list from `ours`), u4 (no truth), u5 (truth, in no profile)."""
    truth = pairs(spark, [("u1", "a"), ("u1", "b"), ("u2", "c"), ("u3", "a"), ("u5", "z")])
    lists = {
        "ours": lists_of(spark, {"u1": ["a", "x", "b"], "u2": ["x", "y", "c"], "u4": ["q", "x", "y"]}),
        "popularity": lists_of(spark, {u: ["x", "a", "y"] for u in ("u1", "u2", "u3", "u4", "u5")}),
    }
    segments = segments_of(spark, {"u1": "light", "u2": "heavy", "u3": "light", "u4": "profile"})
    return by_key(build_metrics(lists, truth, segments, 10, config(evaluate={"k": [2, 3], "n_bootstrap": 200})))


def test_values_equal_those_worked_out_by_hand(small: dict[Key, Row]) -> None:
    def value(*key: object) -> float:
        return small[key].value  # type: ignore[index]

    assert value("ours", "all", "recall", 3) == pytest.approx((1 + 1 + 0 + 0) / 4, abs=1e-8)
    assert value("ours", "all", "recall", 2) == pytest.approx((1 / 2 + 0 + 0 + 0) / 4, abs=1e-8)
    assert value("ours", "heavy", "mrr", 3) == pytest.approx(1 / 3, abs=1e-8)
    assert value("ours", "heavy", "ndcg", 3) == pytest.approx(1 / 2, abs=1e-8)
    assert value("ours", "light", "ndcg", 3) == pytest.approx((1.5 / (1 + 1 / np.log2(3))) / 2, abs=1e-8)
    assert value("popularity", "light", "hit_rate", 2) == 1
    assert value("popularity", "all", "hit_rate", 2) == pytest.approx(2 / 4)
    assert value("popularity", "unknown", "hit_rate", 2) == 0


def test_every_user_with_truth_counts_in_every_model_also_without_a_list(small: dict[Key, Row]) -> None:
    for model in ("ours", "popularity"):
        for metric in MEASURED:
            n_users = {segment: small[model, segment, metric, 3].n_users for segment in ("all", "light", "heavy")}
            assert n_users == {"all": 4, "light": 2, "heavy": 1}
    assert "profile" not in {segment for _, segment, _, _ in small}, "a segment without truth has nothing to measure"


def test_coverage_counts_the_lists_of_all_users_and_has_no_interval(small: dict[Key, Row]) -> None:
    assert small["ours", "all", "coverage", 3].value == pytest.approx(6 / 10)  # a x b y c q
    assert small["ours", "all", "coverage", 2].value == pytest.approx(4 / 10)  # a x y q
    assert small["ours", "light", "coverage", 3].value == pytest.approx(3 / 10)
    assert small["ours", "unknown", "coverage", 3].value == 0
    assert small["popularity", "all", "coverage", 2].value == pytest.approx(2 / 10)
    assert small["ours", "all", "coverage", 3].ci_low is None
    assert small["ours", "all", "coverage", 3].ci_high is None


def test_interval_holds_the_value_and_a_lone_user_has_none_to_speak_of(small: dict[Key, Row]) -> None:
    for (_, segment, metric, _), row in small.items():
        if metric != "coverage":
            assert row.ci_low <= row.value + 1e-9
            assert row.value <= row.ci_high + 1e-9
            if segment == "heavy":
                assert row.ci_low == row.ci_high == row.value
    assert small["ours", "all", "recall", 3].ci_low < small["ours", "all", "recall", 3].ci_high


def world(spark: SparkSession, n_users: int = 1500) -> tuple[dict[str, DataFrame], DataFrame, DataFrame, np.ndarray]:
    """One truth item per user; `a` finds it with probability 0.3, `b` wherever `a` does and for a few more."""
    rng = np.random.default_rng(5)
    hit_a = rng.random(n_users) < 0.3
    hit_b = hit_a | (rng.random(n_users) < 0.05)
    users = [f"u{i}" for i in range(n_users)]
    truth = pairs(spark, [(u, "t") for u in users])
    lists = {
        name: lists_of(spark, {u: ["t" if hit else "f", "g"] for u, hit in zip(users, hits, strict=True)})
        for name, hits in (("a", hit_a), ("b", hit_b))
    }
    return lists, truth, segments_of(spark, dict.fromkeys(users, "light")), hit_a


def test_interval_is_that_of_a_plain_percentile_bootstrap(spark: SparkSession) -> None:
    lists, truth, segments, hits = world(spark)
    row = by_key(build_metrics(lists, truth, segments, 5, config(evaluate={"k": [2], "n_bootstrap": 2000})))
    draws = np.random.default_rng(6).integers(0, len(hits), (2000, len(hits)))
    low, high = np.percentile(hits[draws].mean(axis=1), [2.5, 97.5])
    ours = row["a", "all", "recall", 2]
    assert ours.value == pytest.approx(hits.mean(), abs=1e-8)
    assert (ours.ci_low, ours.ci_high) == (pytest.approx(low, abs=0.004), pytest.approx(high, abs=0.004))


def test_result_is_equal_to_the_last_bit_for_any_partitions(spark: SparkSession) -> None:
    lists, truth, segments, _ = world(spark, 300)
    cfg = config(evaluate={"k": [1, 2], "n_bootstrap": 100})
    once = by_key(build_metrics(lists, truth, segments, 5, cfg))
    shuffled = {name: df.repartition(7, "rank") for name, df in lists.items()}
    again = by_key(build_metrics(shuffled, truth.repartition(5), segments.coalesce(1), 5, cfg))
    assert once == again


def test_no_truth_gives_no_metrics(spark: SparkSession) -> None:
    lists = {"ours": lists_of(spark, {"u1": ["a"]})}
    assert by_key(build_metrics(lists, pairs(spark, []), segments_of(spark, {"u1": "light"}), 3, config())) == {}


def test_truth_is_each_new_pair_once(spark: SparkSession) -> None:
    later = frame(spark, INTERACTIONS, [interaction("u1", "new"), interaction("u1", "new", "purchase"), interaction()])
    found = build_truth(later, pairs(spark, [("u1", "i1"), ("u2", "new")])).collect()
    assert [tuple(row) for row in found] == [("u1", "new")]


def test_cut_leaves_the_asked_share_after_it(spark: SparkSession) -> None:
    rows = [interaction(item=f"i{n}", days_ago=100 - n + 0.25) for n in range(100)]
    interactions = frame(spark, INTERACTIONS, rows).repartition(5)
    cut = choose_cut(interactions, config(evaluate={"holdout_share": 0.2}))
    assert cut == AS_OF - timedelta(days=20.25)
    assert interactions.where(f"ts >= timestamp'{cut.isoformat()}'").count() == 20


def test_cut_is_a_whole_second_and_same_second_interactions_stay_together(spark: SparkSession) -> None:
    base = datetime(1956, 3, 1, tzinfo=UTC)  # before 1970, as some real tables have it
    rows = [{**interaction(item=f"i{n}"), "ts": base + timedelta(seconds=n // 5, microseconds=n)} for n in range(20)]
    cut = choose_cut(frame(spark, INTERACTIONS, rows), config(evaluate={"holdout_share": 0.4}))
    assert cut == base + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-12-20", datetime(2025, 12, 20, tzinfo=UTC)),
        ("2025-12-20 06:30:00", datetime(2025, 12, 20, 6, 30, tzinfo=UTC)),
        ("2025-12-20T06:30:00+02:00", datetime(2025, 12, 20, 4, 30, tzinfo=UTC)),
    ],
)
def test_given_cut_is_read_as_utc(spark: SparkSession, text: str, expected: datetime) -> None:
    rows = frame(spark, INTERACTIONS, [interaction(days_ago=1), interaction(days_ago=40)])
    assert choose_cut(rows, config(evaluate={"cut": text})) == expected


def test_cut_that_is_no_date_says_what_one_looks_like(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="last week"):
        choose_cut(frame(spark, INTERACTIONS, [interaction()]), config(evaluate={"cut": "last week"}))


@pytest.mark.parametrize("cut", ["2024-01-01", "2026-01-01", None])
def test_cut_without_data_on_both_sides_is_refused(spark: SparkSession, cut: str | None) -> None:
    rows = frame(spark, INTERACTIONS, [interaction(days_ago=1), interaction(item="i2", days_ago=1)])
    with pytest.raises(DataError, match="leave_out"):
        choose_cut(rows, config(evaluate={"cut": cut} if cut else {}))


def test_no_interactions_cannot_be_cut(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no interactions"):
        choose_cut(frame(spark, INTERACTIONS, []), config())


def test_last_item_is_held_out_by_its_latest_interaction_then_by_greater_id(spark: SparkSession) -> None:
    rows = [
        *(interaction("u1", "early", days_ago=9), interaction("u1", "late", days_ago=5)),
        interaction("u1", "early", days_ago=2),
        *(interaction("u2", "a", days_ago=1), interaction("u2", "b", days_ago=1)),
        *(interaction("one-item", "a", days_ago=1), interaction("one-item", "a", days_ago=2)),
    ]
    held_out = build_held_out(frame(spark, INTERACTIONS, rows), config())
    assert sorted(map(tuple, held_out.collect())) == [("u1", "early"), ("u2", "b")]


def test_hash_order_holds_out_one_own_item_that_follows_the_seed_only(spark: SparkSession) -> None:
    rows = [interaction(f"u{u}", f"i{i}", days_ago=i) for u in range(40) for i in range(1, 6)]
    interactions = frame(spark, INTERACTIONS, rows)
    by_hash = {"evaluate": {"leave_out_order": "hash"}}
    first = dict(map(tuple, build_held_out(interactions, config(**by_hash)).collect()))
    again = dict(map(tuple, build_held_out(interactions.repartition(7), config(**by_hash)).collect()))
    other = dict(map(tuple, build_held_out(interactions, config(**by_hash, run={"seed": 1})).collect()))
    assert len(first) == 40
    assert first == again != other
    assert len(set(first.values())) == 5
