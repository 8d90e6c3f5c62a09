"""Returns parameters, values by epoch and values of the backtest for MLflow, under names that MLflow accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from recsys_spark.config.sections import Config
from recsys_spark.model.kernels.facts import ModelFacts

Value = tuple[str, float, int]
"""name, value, step"""
_NOT_IN_NAMES = re.compile(r"[^\w.\- ]")


def params_of(cfg: Config, encoder_id: str) -> dict[str, str]:
    """Return [model], [behaviours], [encoder], encoder_id and seed: strings as they are, other values as JSON, no
    empty ones."""
    sections = cfg.model_dump(mode="json", include={"model", "behaviours", "encoder"})
    flat = {
        f"{section}.{key}": value
        for section, values in sections.items()
        for key, value in values.items()
        if key != "weights"
    }
    flat |= {f"behaviours.weights.{_valid(name)}": weight for name, weight in cfg.behaviours.weights.items()}
    flat |= {"run.seed": cfg.run.seed, "encoder_id": encoder_id}
    return {n: value if isinstance(value, str) else json.dumps(value) for n, value in flat.items() if value != ""}


def training_values(facts: ModelFacts) -> list[Value]:
    """Return (name, value, step) of a model's facts: of each epoch, then the metrics with the choices, at step 0."""
    epochs = [
        (f"{run}/{name}", value, int(entry["epoch"]))
        for run, entries in (("train", facts.losses), ("trial", facts.trial))
        for entry in [one.as_dict() for one in entries]
        for name, value in entry.items()
        if name not in ("epoch", "of")
    ]
    found = {f"held_out/{name}": value for name, value in (facts.held_out.as_dict() if facts.held_out else {}).items()}
    found |= facts.choices.as_dict()
    found |= {"seconds": facts.seconds, "n_users": facts.n_users, "n_positions": facts.n_positions}
    return [(name, float(value), step) for name, value, step in [*epochs, *((n, v, 0) for n, v in found.items())]]


def backtest_values(rows: Iterable[Any]) -> list[Value]:
    """Return (MODEL/SEGMENT/METRIC_K, value, step 0) of METRICS; a metric without a value is left out."""
    return [
        ("/".join(_valid(part) for part in (r["model"], r["segment"], f"{r['metric']}_{r['k']}")), float(r["value"]), 0)
        for r in rows
        if r["value"] is not None
    ]


def _valid(name: str) -> str:
    """Return a name that MLflow takes; other characters become their code, so that no two names become one."""
    return _NOT_IN_NAMES.sub(lambda match: f"_{ord(match[0]):x}_", name)
