"""A metric is one entry: the backtest measures a planted one, and the gates, the report and the demo know it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pyspark.sql import SparkSession

from recsys_spark.evaluation.backtest import OURS, build_metrics
from recsys_spark.evaluation.kernels.metrics import METRICS, Hits, Metric
from recsys_spark.numerics.arrays import F64
from recsys_spark.publishing.report import ReportInputs, render_report
from recsys_spark.shop.showcase import metrics_of
from tests.builders import AS_OF, config
from tests.evaluation.test_backtest import lists_of, pairs, segments_of


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> str:
    # Local, so that Spark sends it to the workers by value.
    def precision(hits: Hits) -> F64:
        value: F64 = hits.n_hits / hits.k
        return value

    monkeypatch.setitem(METRICS, "precision", Metric("precision", precision, in_demo=True))
    return "precision"


def test_a_planted_metric_is_measured_gated_reported_and_shown(spark: SparkSession, planted: str) -> None:
    cfg = config(evaluate={"k": [2], "n_bootstrap": 100}, publish={"min_metric": {f"{planted}@2": 0.1}})
    truth = pairs(spark, [("u1", "a"), ("u2", "b")])
    lists = {OURS: lists_of(spark, {"u1": ["a", "x"], "u2": ["x", "y"]})}
    metrics = build_metrics(lists, truth, segments_of(spark, {"u1": "light"}), 4, cfg).cache()
    rows = [row.asDict() for row in metrics.collect()]
    [found] = [row for row in rows if row["metric"] == planted and row["segment"] == "all"]
    assert found["value"] == pytest.approx((1 / 2 + 0) / 2, abs=1e-8)
    shown = metrics_of(metrics.where("segment = 'all'"), k=2)
    assert [row["metric"] for row in shown] == [name for name, metric in METRICS.items() if metric.in_demo]
    assert shown[-1]["metric"] == planted
    page = render_report(
        ReportInputs("2026-01-01", (AS_OF - timedelta(days=1)).isoformat(), "c", "e", "m", metrics=rows)
    )
    assert f'<th scope="row">{planted}@2</th>' in page


def test_without_the_entry_the_gate_names_a_metric_that_is_not_measured() -> None:
    with pytest.raises(Exception, match="not measured"):
        config(publish={"min_metric": {"precision@2": 0.1}})
