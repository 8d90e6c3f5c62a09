"""MODEL_CARD.md beside a model: what it is, what it learned from, how it did on what it was not shown, where it ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import jinja2

from recsys_spark.model.kernels.facts import ModelFacts

_CARD = """\
# Model {{ model_id }}

A user tower over behaviours, interest tags and social neighbours, and an item side made of text vectors and a learned part. `score = w_cos cos(x_i, y_j) + w_ce log P(j|i)`; made by recsys-spark {{ version }}.

| | |
|---|---|
| trained | {{ trained_at }} for {{ '%.0f' | format(facts.seconds) }} s, configuration `{{ config_fingerprint }}`, seed {{ seed }} |
| encoder | `{{ facts.encoder_id }}` ({{ encoder }}), width {{ facts.shape.text_width }} |
| size | width {{ facts.shape.width }}, {{ facts.shape.n_layers }} layers, {{ facts.shape.n_heads }} heads, {{ n_parameters }} numbers |
| learned from | {{ facts.n_users }} users, {{ facts.n_positions }} behaviours, {{ facts.warm_item_ids | length }} items of {{ n_items }} |
| behaviours | {% for name, weight in weights.items() %}{{ name }} (weight {{ weight }}){{ ', ' if not loop.last }}{% endfor %} |
| from, to | {{ first }}, {{ last }} (as of {{ as_of }}) |
| links | {{ n_links }} between items that were chosen together |
| epochs | {{ facts.losses | length }}; loss {{ '%.4f' | format(facts.losses[0].loss) }} in the first, {{ '%.4f' | format(facts.losses[-1].loss) }} in the last |

## How it did on behaviours it was not shown

{% if facts.held_out %}A trial run of {{ facts.trial[-1].loss.epoch }} epochs that was not shown some of the last behaviours, asked for those, the whole catalogue ranked: recall@10 {{ '%.4f' | format(facts.held_out.recall) }}, ndcg@10 {{ '%.4f' | format(facts.held_out.ndcg) }}, `-log P` {{ '%.3f' | format(facts.held_out.nll) }} at the temperature below (an even guess over {{ n_items }} items: {{ '%.3f' | format(even) }}).

It chose what this model has built in: {{ facts.choices.clauses() }}.{% if ends %} The last of what a trial tries, so that a better value may lie beyond: {{ ends | join(', ') }}.{% endif %} So these figures flatter a little. The backtest of the run (`metrics`) was looked at by nothing.
{% elif facts.started_from %}No trial was run: training began with the model of {{ facts.started_from }}, and what that one's trial had chosen stays: {{ facts.choices.line() }}.
{% else %}No trial was run: `model.trial_epochs` is 0, or too few users had later behaviours. The usual values are built in: {{ facts.choices.line() }}.
{% endif %}
## Where it ends

- It serves users with behaviours, interest tags or friends. Others are served what is popular, by another stage.
- An item without a behaviour is known by its text alone; one that has no text either, by nothing.
- It repeats what its behaviours hold: what was shown more was chosen more. P is a share of choices, not a measure of how good an item is.
- It is of use with vectors of its own encoder only; scoring refuses others.
"""


def model_card(
    facts: ModelFacts, *, model_id: str, version: str, config_fingerprint: str, seed: int, encoder: str,
    weights: Mapping[str, float], n_items: int, n_parameters: int, n_links: int, as_of: datetime, now: datetime,
) -> str:  # fmt: skip
    """Markdown for an artifact's ``facts``; ``now`` is the time of the run, ``n_items`` the size of the catalogue."""
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    return template.from_string(_CARD).render(
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
