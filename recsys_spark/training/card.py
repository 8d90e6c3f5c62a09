"""MODEL_CARD.md of a model: its sizes, the data it learned from, its metrics on held-out behaviours, and its limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources

import jinja2

from recsys_spark.model.kernels.facts import ModelFacts

TEMPLATE = "model_card.md.j2"


def model_card(
    facts: ModelFacts,
    *,
    model_id: str,
    version: str,
    config_fingerprint: str,
    seed: int,
    encoder: str,
    weights: Mapping[str, float],
    n_items: int,
    n_parameters: int,
    n_links: int,
    as_of: datetime,
    now: datetime,
) -> str:
    """Return Markdown for an artifact's ``facts``; ``now`` is the time of the run, ``n_items`` the size of the
    catalogue."""
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    text = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return template.from_string(text).render(
        facts=facts,
        ends=facts.choices.at_grid_ends() if facts.held_out else [],
        model_id=model_id,
        version=version,
        config_fingerprint=config_fingerprint,
        seed=seed,
        encoder=encoder,
        weights=dict(weights),
        n_items=n_items,
        even=math.log(max(n_items, 1)),
        n_parameters=n_parameters,
        n_links=n_links,
        first=_day(facts.first_time),
        last=_day(facts.last_time),
        as_of=as_of.isoformat(),
        trained_at=now.strftime("%Y-%m-%d %H:%M UTC"),
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
