"""Renders the report of a run: one HTML file that opens offline, from plain values that steps/report.py gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from recsys_spark.evaluation.backtest import ALL_SEGMENT, OURS
from recsys_spark.evaluation.baselines.registry import BASELINES
from recsys_spark.evaluation.kernels.metrics import METRICS
from recsys_spark.profiles.users import SEGMENTS
from recsys_spark.publishing.charts import Bar, bar_chart, curve_chart

SEGMENT_ORDER = (ALL_SEGMENT, *SEGMENTS)
MAX_HISTORY = 8


@dataclass(frozen=True)
class ReportInputs:
    """All that the report shows, as plain values. Mappings are rows with the named keys; other keys are ignored.

    All fields except the first five may stay empty: their section then says so.
    """

    run_date: str
    """The partition, YYYY-MM-DD."""
    as_of: str
    """Data cut-off, ISO timestamp."""
    config_fingerprint: str
    """`Config.fingerprint()`."""
    encoder_id: str
    """Fingerprint of the encoder."""
    model_id: str
    """Id of the model artifact."""
    row_counts: Mapping[str, int] = field(default_factory=dict)
    """Table -> rows."""
    rejected: Sequence[Mapping[str, Any]] = ()
    """Rows `table, reason, count` of `rejected_rows`."""
    sources: Sequence[Mapping[str, Any]] = ()
    """What became of the rows of each source: the fields of ``ingest.accounts.Account``."""
    tables: Sequence[Mapping[str, Any]] = ()
    """What became of the accepted rows of each table: the fields of ``ingest.sums.TableAccount``."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Stage -> seconds, in the order they ran."""
    metrics: Sequence[Mapping[str, Any]] = ()
    """Rows of METRICS: `model, segment, metric, k, value, ci_low, ci_high, n_users`."""
    evaluation: str = ""
    """One sentence on the backtest: protocol, cut."""
    losses: Sequence[Mapping[str, Any]] = ()
    """One row per epoch: `loss`, and where known `cross_entropy` and `bce`."""
    trial: Sequence[Mapping[str, Any]] = ()
    """One row per epoch of the trial run; `ndcg` is on the hidden behaviours, in epochs where it was measured."""
    held_out: Mapping[str, float] | None = None
    """`ndcg` and others of the trial run with its choices; None without a trial run."""
    chosen: str = ""
    """What the trial run chose, in words."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Users: `user_id`, `segment`, `source`, `interest_tags` (strings), `history` (rows `title, behaviour, ts`, newest
    first) and `recommendations` (rows `rank, item_id, title, score, reasons`)."""


def render_report(inputs: ReportInputs) -> str:
    """Return the report: one HTML document without scripts that fetches nothing; every text in it is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "duration": _duration, "measure": _measure}
    source = resources.files("recsys_spark.publishing").joinpath("report.html.j2").read_text(encoding="utf-8")
    slowest = max(inputs.timings.values(), default=0.0)
    return environment.from_string(source).render(
        run=inputs,
        identity={
            "Config": inputs.config_fingerprint,
            "Encoder": inputs.encoder_id,
            "Model": inputs.model_id,
        },
        rejected=sorted(inputs.rejected, key=lambda row: (-row["count"], row["table"], row["reason"])),
        total_seconds=sum(inputs.timings.values()),
        slowest=slowest or 1.0,
        segments=_metric_tables(inputs.metrics),
        metrics_chart=_metrics_chart(inputs.metrics),
        loss_chart=_loss_chart(inputs.losses, inputs.trial),
        trial=_trial(inputs),
        samples=[_sample(row) for row in inputs.samples],
    )


def _number(value: float) -> str:
    return f"{value:,}"


def _measure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _duration(seconds: float) -> str:
    """Return seconds in words.

    >>> _duration(0.42), _duration(75), _duration(7384)
    ('0.4 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _position(order: Sequence[str], name: str) -> tuple[int, str]:
    """Return a sort key: known names in their order, then unknown ones by name."""
    return (order.index(name) if name in order else len(order), name)


def model_order() -> list[str]:
    """Return the models in the order of the columns: ours, then the baselines."""
    return [OURS, *BASELINES]


def _sorted_metrics(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return (_position(list(METRICS), row["metric"]), row["k"], _position(model_order(), row["model"]))

    return sorted(rows, key=key)


def _metric_tables(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one table per segment: a line per metric and cut-off, a column per model, the best of each line marked."""
    tables = []
    for segment in sorted({row["segment"] for row in rows}, key=lambda name: _position(SEGMENT_ORDER, name)):
        mine = _sorted_metrics([row for row in rows if row["segment"] == segment])
        models = sorted({row["model"] for row in mine}, key=lambda name: _position(model_order(), name))
        by_line: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
        for row in mine:
            by_line.setdefault((row["metric"], row["k"]), {})[row["model"]] = row
        lines = [
            {
                "name": f"{metric.replace('_', ' ')}@{k}",
                "cells": [cells.get(model) for model in models],
                "best": max(row["value"] for row in cells.values()) if len(models) > 1 else None,
            }
            for (metric, k), cells in by_line.items()
        ]
        n_users = max(row["n_users"] for row in mine)
        tables.append({"segment": segment, "n_users": n_users, "models": models, "lines": lines})
    return tables


def _metrics_chart(rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    every = _sorted_metrics([row for row in rows if row["segment"] == "all"])
    if not every:
        return None
    bars = [
        Bar(
            panel=row["metric"].replace("_", " "),
            group=f"@{row['k']}",
            series=row["model"],
            value=row["value"],
            low=row["ci_low"],
            high=row["ci_high"],
        )
        for row in every
    ]
    said = "; ".join(f"{bar.series} {bar.panel}{bar.group} {_measure(bar.value)}" for bar in bars)
    # Escaped by the chart itself, text by text.
    return Markup(bar_chart(bars, title="Backtest metrics by model, all users", description=said, prefix="metrics"))


def _loss_chart(rows: Sequence[Mapping[str, Any]], trial: Sequence[Mapping[str, Any]]) -> Markup | None:
    labels = {"loss": "loss", "cross_entropy": "softmax cross-entropy", "bce": "cosine BCE"}
    curves = {
        label: [float(row[name]) for row in rows] for name, label in labels.items() if all(name in row for row in rows)
    }
    if not rows or not curves:
        return None
    if trial and all("ndcg" in row for row in trial):
        curves["trial: held-out ndcg@10"] = [float(row["ndcg"]) for row in trial]
    said = "; ".join(f"{label} from {values[0]:.4g} to {values[-1]:.4g}" for label, values in curves.items())
    return Markup(curve_chart(curves, title="Training by epoch", description=said, prefix="loss"))


def _trial(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what the trial run found and chose."""
    if not inputs.held_out:
        return None
    return {"epochs": len(inputs.trial), "ndcg": inputs.held_out["ndcg"], "chosen": inputs.chosen}


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    history = list(row.get("history") or ())
    return {
        "user_id": row["user_id"],
        "segment": row.get("segment"),
        "source": row.get("source"),
        "interest_tags": list(row.get("interest_tags") or ()),
        "history": history[:MAX_HISTORY],
        "n_more": max(len(history) - MAX_HISTORY, 0),
        "recommendations": [
            {**item, "reasons": list(item.get("reasons") or ())} for item in row.get("recommendations") or ()
        ],
    }
