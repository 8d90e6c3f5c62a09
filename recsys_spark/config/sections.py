"""The configuration of one job: :class:`Config` and its sections, typed, frozen and validated.

``docs/configuration.md`` is generated from the field docstrings. An unknown key is an error that names the nearest key.
"""

from __future__ import annotations

import hashlib
import json
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from recsys_spark.config.base import Count, NonNegative, Positive, Section, Share
from recsys_spark.config.encoder import Encoder
from recsys_spark.config.model import Mlflow, Model
from recsys_spark.config.sources import Sources
from recsys_spark.errors import nearest
from recsys_spark.evaluation.kernels.metrics import METRICS

TEMPLATE_FIELDS = ("title", "description", "category", "tags", "attributes")
MAX_PER_USER = 1000
"""Largest number of rows kept per user. Above it Spark no longer cuts a group to its first rows before the shuffle."""


class Run(Section):
    """What runs, and where its results are kept."""

    store: str
    """[Address](#addresses) of the root folder of everything that the job writes."""
    top_n: Annotated[int, Field(ge=1, le=MAX_PER_USER)] = 20
    """Items per user in the published list."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of everything random. The same input and seed give the same output."""


class Behaviours(Section):
    """How behaviours become a weighted history."""

    weights: dict[str, NonNegative]
    """Weight of each behaviour type. A type that occurs in the data and is missing here is an error, unless
    `default_weight` is set. Weight 0 keeps a type out of histories; its items still count as seen."""
    default_weight: NonNegative | None = None
    """Weight of behaviour types that `weights` does not name."""
    value_transform: Literal["none", "linear", "log1p", "sqrt"] = "none"
    """Factor that `value` (hours, plays, stars) contributes to the weight: 1 (`none`), value (`linear`), log(1 + value)
    or sqrt(value). A null value contributes the factor 1."""
    half_life_days: Positive | None = 90.0
    """The weight of a behaviour halves with every period of this many days between it and `as_of`. A very large number
    switches decay off."""
    max_history: Annotated[int, Field(ge=1, le=MAX_PER_USER)] = 200
    """L: number of most recent behaviours kept per user."""


class Profiles(Section):
    """How profile texts and social neighbours are built."""

    item_template: str = "{title}. {category}. {tags}. {attributes}. {description}"
    """Template of an item's text; its fields are `{title}`, `{description}`, `{category}`, `{tags}` and `{attributes}`.
    Parts end at `. `, `; `, ` | `, `。` or `；`. A part whose fields are all empty is left out with its separator."""
    max_tags: Annotated[int, Field(ge=1, le=MAX_PER_USER)] = 20
    """Interest tags kept per user, and tags written into the text of an item."""
    max_text_chars: Count = 2000
    """Characters of a profile text. A longer text is cut."""
    max_neighbours: Annotated[int, Field(ge=1, le=MAX_PER_USER)] = 20
    """Social neighbours kept per user, the closest first."""
    max_social_items: Annotated[int, Field(ge=1, le=MAX_PER_USER)] = 50
    """Items of the neighbours' histories kept per user."""

    @field_validator("item_template")
    @classmethod
    def _known_fields(cls, template: str) -> str:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"{error}; a literal brace is written twice") from error
        fields = [name for _, name, _, _ in parts if name is not None]
        for _, name, spec, conversion in parts:
            if name is not None and (name not in TEMPLATE_FIELDS or spec or conversion):
                close = nearest(name, TEMPLATE_FIELDS)
                hint = f"; did you mean {{{close}}}?" if close else ""
                raise ValueError(f"{{{name}}} is not a field of a template{hint} Valid: {', '.join(TEMPLATE_FIELDS)}")
        if not fields:
            raise ValueError(f"the template has no field; it needs at least one of {', '.join(TEMPLATE_FIELDS)}")
        return template


class Score(Section):
    """The combined rank: score = w_cos * cosine + w_ce * log P."""

    w_cos: Annotated[NonNegative, Field(le=1e6)] | None = None
    """Weight of the cosine similarity. By default it is the weight that the model's trial run chose (1 without a
    trial), times `w_ce` / `temperature`."""
    w_ce: Annotated[NonNegative, Field(le=1e6)] = 1.0
    """Weight of the cross-entropy similarity, log P."""
    temperature: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """T of P = softmax(logit / T). Above 1, P is flatter; below 1, it is sharper."""
    normalise: Literal["catalogue", "allowed", "none"] = "catalogue"
    """Items over which P sums to 1: all items, or the items of `sources.allow_list`. With `none` there is no log P:
    `log_prob` is null, and `score` takes the bare logit. The lists are the same, and sooner."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU that Spark assigned to the task, if any. `cuda` takes a free GPU where none was assigned."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Precision of the products on a GPU. The lists always equal those of float32. Half precision moves log P by up to
    some thousandths. A CPU always computes log P in float32."""
    top_n_per: Literal["category"] | None = None
    """`category` keeps the `run.top_n` best items of each category; ranks run over all rows of a user. By default the
    best items of the whole catalogue are kept."""
    max_block_bytes: Annotated[int, Field(gt=0, lt=2**31)] | None = None
    """Largest size of an item block, which is broadcast, and of a user block, in bytes. By default it is 1/16 of the
    memory that an executor has per task, at least 4 MiB and at most 128 MiB."""
    oversample: Annotated[float, Field(ge=1, le=20)] = 2.0
    """Candidates per user, as a multiple of top_n, where a rule of `rerank` chooses among them. Otherwise there are
    top_n."""
    exclude_seen: bool | list[str] = True
    """Leave out items that the user has seen: by any behaviour (true), never (false), or by these behaviour types
    only."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.w_cos == 0 and not self.w_ce:
            raise ValueError("w_cos and w_ce are both 0, so every item would have the same score")
        return self

    def chosen(self, w_cos: float) -> Score:
        """Return the section with the weight of the cosine that a model chose, unless the configuration sets it.

        The weight is scaled with the weight of the logits, so that neither `w_ce` nor `temperature` alone moves a
        list. Where `w_ce` is 0 the cosine stands alone, and its weight remains 1.
        """
        if self.w_cos is not None or not self.w_ce:
            return self
        return self.model_copy(update={"w_cos": w_cos * self.w_ce / self.temperature})


class Rerank(Section):
    """Business rules and reasons."""

    max_per_category: Annotated[int, Field(ge=0)] = 0
    """Number of items of one category after which the other categories have their turn; 0 switches the rule off. It
    never shortens a list."""
    n_reasons: Annotated[int, Field(ge=0, le=10)] = 2
    """Reasons written per recommendation."""
    popular_half_life_days: Positive = 30.0
    """Half-life, in days, of the popularity from which unknown users are served."""


class Evaluate(Section):
    """The backtest: the same pipeline at an earlier as_of, compared with what users did next."""

    enabled: bool = True
    """Whether the pipeline runs the backtest."""
    protocol: Literal["time", "leave_out"] = "time"
    """`time`: interactions before the cut are for training, and those after it are the truth. `leave_out`: one
    interaction per user is held out; it is for data without usable timestamps."""
    cut: str | None = None
    """The earlier as_of, a date or timestamp. By default it is the time quantile `1 - holdout_share` of the
    interactions."""
    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the interactions that lie after the cut, where `cut` is not given."""
    leave_out_order: Literal["last", "hash"] = "last"
    """Interaction that `leave_out` holds out: the user's last one, or one chosen by hash, for data whose order means
    nothing."""
    k: list[Count] = Field(default=[10, 20])
    """Cut-offs of the metrics. The largest must not exceed top_n."""
    n_bootstrap: Annotated[int, Field(ge=100, le=10_000)] = 1000
    """Bootstrap replicates behind each interval."""
    baselines: list[Literal["popularity", "als"]] = Field(default=["popularity", "als"])
    """Models that are compared with the trained model."""
    als_rank: Count = 64
    """Width of the ALS baseline."""


class Publish(Section):
    """Gates that must hold before the new lists become visible."""

    min_users: Count = 1
    """Smallest number of users with a list."""
    min_full_share: Share = 1.0
    """Smallest share of users with a full list: one of min(top_n, number of items that the user may get) items."""
    min_metric: dict[str, float] = Field(default={})
    """Backtest metrics that the trained model must reach, such as `{ "ndcg@10" = 0.03 }`."""
    max_rejected_share: Share = 0.5
    """Largest share of rejected rows among all rows, rejected or used."""


class Config(Section):
    """The whole configuration of one job."""

    run: Run
    """What runs, and where its results are kept."""
    sources: Sources
    """The user's tables."""
    behaviours: Behaviours
    """Weights of behaviours, value transform, decay and length of histories."""
    profiles: Profiles = Profiles()
    """Profile texts and social neighbours."""
    encoder: Encoder
    """The text encoder."""
    model: Model = Model()
    """The towers and their training."""
    score: Score = Score()
    """The combined rank."""
    rerank: Rerank = Rerank()
    """Business rules and reasons."""
    evaluate: Evaluate = Evaluate()
    """The backtest."""
    publish: Publish = Publish()
    """Gates that must hold before lists become visible."""
    mlflow: Mlflow = Mlflow()
    """Where trainings and backtests are recorded."""
    spark: dict[str, str] = Field(default={})
    """Spark properties of this job. Properties given on the command line take precedence. For a small input the job
    chooses some properties itself and logs them; those that are set here or there stay."""

    @model_validator(mode="after")
    def _seen_types_are_known(self) -> Self:
        seen = self.score.exclude_seen
        unknown = [name for name in seen if name not in self.behaviours.weights] if isinstance(seen, list) else []
        if unknown and self.behaviours.default_weight is None:
            close = nearest(unknown[0], self.behaviours.weights)
            hint = f"; did you mean `{close}`?" if close else ""
            raise ValueError(
                f"score.exclude_seen names `{unknown[0]}`, which has no weight in behaviours.weights{hint}"
            )
        return self

    @model_validator(mode="after")
    def _gates_are_measured(self) -> Self:
        known = [f"{name}@{k}" for name in METRICS for k in self.evaluate.k] if self.evaluate.enabled else []
        measured = ", ".join(known) or "nothing, because evaluate.enabled = false"
        for name in self.publish.min_metric:
            if name not in known:
                raise ValueError(f"publish.min_metric names `{name}`, which is not measured. Measured: {measured}")
        return self

    @model_validator(mode="after")
    def _k_within_top_n(self) -> Self:
        if self.evaluate.enabled and max(self.evaluate.k) > self.run.top_n:
            raise ValueError(f"evaluate.k = {self.evaluate.k} exceeds run.top_n = {self.run.top_n}")
        return self

    @model_validator(mode="after")
    def _rules_fit_together(self) -> Self:
        if self.score.top_n_per and self.rerank.max_per_category:
            raise ValueError(
                "score.top_n_per keeps the best of each category, and rerank.max_per_category would cut them"
            )
        if self.score.normalise == "allowed" and not self.sources.allow_list:
            raise ValueError("score.normalise = `allowed` needs sources.allow_list, which is not given")
        return self

    def fingerprint(self, *sections: str) -> str:
        """Return 16 hex digits that change when a value of the named sections (by default all) changes."""
        content = self.model_dump(mode="json", include=set(sections) if sections else None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
