"""Rows of metrics as the demo shows them."""

from __future__ import annotations

from recsys_spark.shop.showcase import Metric


def metric(model: str, value: float, segment: str = "all", name: str = "recall", interval: bool = True) -> Metric:
    low, high = (value - 0.02, value + 0.02) if interval else (None, None)
    return Metric(model=model, segment=segment, metric=name, k=10, value=value, ci_low=low, ci_high=high, n_users=521)
