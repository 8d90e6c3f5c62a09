"""The configuration: typed, frozen, validated; unknown keys are errors that name the nearest valid one.

One TOML file is one :class:`Config`. The field docstrings are the reference that ``docs/configuration.md`` is
generated from.
"""

from __future__ import annotations

import hashlib
import json
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from recsys_spark.config.base import Count, NonNegative, Positive, Section, Share
from recsys_spark.config.model import Encoder, Mlflow, Model
from recsys_spark.config.sources import Join, Source, Sources
from recsys_spark.errors import nearest

# Defined beside this module, and imported from here.
__all__ = ["Encoder", "Join", "Mlflow", "Model", "Section", "Source", "Sources"]

METRIC_NAMES = ("recall", "ndcg", "mrr", "hit_rate", "coverage")
TEMPLATE_FIELDS = ("title", "description", "category", "tags", "attributes")
WINDOW_GROUP_LIMIT_THRESHOLD = 1000  # above it Spark stops cutting a group to its first L rows before the shuffle


class Run(Section):
    """What is run and where its results live."""

    store: str
    """Root folder of everything the job writes: a local, `hdfs://` or `s3a://` path."""
    top_n: Annotated[int, Field(ge=1, le=WINDOW_GROUP_LIMIT_THRESHOLD)] = 20
    """Items per user in the published list."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of everything random; the same input and seed give the same output."""


class Behaviours(Section):
    """How behaviours become weighted history."""

    weights: dict[str, NonNegative]
    """Behaviour type -> weight. A type in the data that is missing here is an error unless `default_weight` is set. Weight 0 keeps a type out of histories, though it still counts as seen."""
    default_weight: NonNegative | None = None
    """Weight of behaviour types not named in `weights`."""
    value_transform: Literal["none", "linear", "log1p", "sqrt"] = "none"
    """What `value` (hours, plays, stars) does to the weight: nothing, or a factor of value, log(1 + value), sqrt(value). A null value counts as factor 1."""
    half_life_days: Positive | None = 90.0
    """A behaviour's weight halves every so many days before `as_of`; give a very large number for no decay."""
    max_history: Annotated[int, Field(ge=1, le=WINDOW_GROUP_LIMIT_THRESHOLD)] = 200
    """L: the most recent behaviours kept per user."""


class Profiles(Section):
    """How profile texts and social neighbours are built."""

    item_template: str = "{title}. {category}. {tags}. {attributes}. {description}"
    """Item text from `{title}`, `{description}`, `{category}`, `{tags}`, `{attributes}`. Parts end at `. `, `; `, ` | `, `。` or `；`; a part whose fields are all empty is left out together with its separator."""
    max_tags: Annotated[int, Field(ge=1, le=WINDOW_GROUP_LIMIT_THRESHOLD)] = 20
    """Interest tags kept per user, and tags written into an item's text."""
    max_text_chars: Count = 2000
    """A longer profile text is cut here, at a character boundary."""
    max_neighbours: Annotated[int, Field(ge=1, le=WINDOW_GROUP_LIMIT_THRESHOLD)] = 20
    """Social neighbours kept per user, the closest first."""
    max_social_items: Annotated[int, Field(ge=1, le=WINDOW_GROUP_LIMIT_THRESHOLD)] = 50
    """Items of the neighbours' histories kept per user."""

    @field_validator("item_template")
    @classmethod
    def _known_fields(cls, template: str) -> str:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"{error}; write a literal brace twice") from error
        fields = [name for _, name, _, _ in parts if name is not None]
        for _, name, spec, conversion in parts:
            if name is not None and (name not in TEMPLATE_FIELDS or spec or conversion):
                close = nearest(name, TEMPLATE_FIELDS)
                hint = f"; did you mean {{{close}}}?" if close else ""
                raise ValueError(f"{{{name}}} is no field of a template{hint} Valid: {', '.join(TEMPLATE_FIELDS)}")
        if not fields:
            raise ValueError(f"a template names at least one field of {', '.join(TEMPLATE_FIELDS)}")
        return template


class Score(Section):
    """The combined rank: score = w_cos * cosine + w_ce * log P."""

    w_cos: Annotated[NonNegative, Field(le=1e6)] | None = None
    """Weight of the cosine similarity; by default what the model's trial run chose (1 where there was none), times `w_ce` / `temperature`."""
    w_ce: Annotated[NonNegative, Field(le=1e6)] = 1.0
    """Weight of the cross-entropy similarity, log P."""
    temperature: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """T of P = softmax(logit / T): above 1 flatter, below 1 sharper."""
    normalise: Literal["catalogue", "allowed", "none"] = "catalogue"
    """What P sums to 1 over: all items, or the items of `sources.allow_list`. With `none` there is no log P (`log_prob` is null, `score` takes the bare logit): the same lists, sooner."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU that Spark assigned to the task, if any; `cuda` takes a free one where none was assigned."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Of the products on a GPU. Lists are those of float32 in any case; half precision moves log P by up to some thousandths. On a CPU log P is always that of float32."""
    top_n_per: Literal["category"] | None = None
    """`category` keeps the `run.top_n` best items of each category; ranks are over all of a user's rows. By default the best of the catalogue."""
    max_block_bytes: Annotated[int, Field(gt=0, lt=2**31)] | None = None
    """Largest item block that is broadcast, and largest user block, in bytes; by default 1/16 of the memory an executor has per task, between 4 MiB and 128 MiB."""
    oversample: Annotated[float, Field(ge=1, le=20)] = 2.0
    """Candidates per user as a multiple of top_n where a rule of `rerank` has to choose among them; else top_n."""
    exclude_seen: bool | list[str] = True
    """Leave out items the user has seen: all behaviours, none (false), or only these behaviour types."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.w_cos == 0 and not self.w_ce:
            raise ValueError("w_cos and w_ce are both 0: every item would score the same")
        return self

    @property
    def cosine_weight(self) -> float:
        """`w_cos`, 1 where nobody has said what it is."""
        return 1.0 if self.w_cos is None else self.w_cos

    def chosen(self, w_cos: float) -> Score:
        """The same with what a model chose beside its log P, where the configuration does not say; of the cosine alone the weight is 1.

        It goes with the weight of the logits, so that neither `w_ce` nor `temperature` alone moves a list.
        """
        if self.w_cos is not None or not self.w_ce:
            return self
        return self.model_copy(update={"w_cos": w_cos * self.w_ce / self.temperature})


class Rerank(Section):
    """Business rules and reasons."""

    max_per_category: Annotated[int, Field(ge=0)] = 0
    """At most so many items of one category before other categories had their turn; 0 switches it off. Never shortens a list."""
    n_reasons: Annotated[int, Field(ge=0, le=10)] = 2
    """Reasons written per recommendation."""
    popular_half_life_days: Positive = 30.0
    """Half-life of the popularity that unknown users are served from."""


class Evaluate(Section):
    """The backtest: the same pipeline at an earlier as_of, compared with what happened next."""

    enabled: bool = True
    """Whether the pipeline runs the backtest."""
    protocol: Literal["time", "leave_out"] = "time"
    """`time`: everything before the cut trains, everything after it is the truth. `leave_out`: one interaction per user is held out, for data without usable timestamps."""
    cut: str | None = None
    """The earlier as_of (date or timestamp); by default the time quantile `1 - holdout_share` of the interactions."""
    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the interactions after the cut where `cut` is not given."""
    leave_out_order: Literal["last", "hash"] = "last"
    """`leave_out` holds out the user's last interaction, or, where order means nothing, one chosen by hash."""
    k: list[Count] = Field(default=[10, 20])
    """Cut-offs of the metrics; the largest must not exceed top_n."""
    n_bootstrap: Annotated[int, Field(ge=100, le=10_000)] = 1000
    """Bootstrap replicates behind each interval."""
    baselines: list[Literal["popularity", "als"]] = Field(default=["popularity", "als"])
    """Models scored beside ours."""
    als_rank: Count = 64
    """Width of the ALS baseline."""


class Publish(Section):
    """Gates that must hold before a partition becomes visible."""

    min_users: Count = 1
    """Users with a list."""
    min_full_share: Share = 1.0
    """Share of users whose list has min(top_n, items they may get) items."""
    min_metric: dict[str, float] = Field(default={})
    """Backtest metrics of our model that must be reached, such as `{ "ndcg@10" = 0.03 }`."""
    max_rejected_share: Share = 0.5
    """Largest share of rejected rows among all rows that were rejected or used."""


class Config(Section):
    """The whole configuration of one job."""

    run: Run
    """What is run and where its results live."""
    sources: Sources
    """The user's tables."""
    behaviours: Behaviours
    """Behaviour weights, value transform, decay, history length."""
    profiles: Profiles = Profiles()
    """Profile texts and neighbours."""
    encoder: Encoder
    """The text encoder."""
    model: Model = Model()
    """Towers and training."""
    score: Score = Score()
    """The combined rank."""
    rerank: Rerank = Rerank()
    """Business rules and reasons."""
    evaluate: Evaluate = Evaluate()
    """The backtest."""
    publish: Publish = Publish()
    """Gates."""
    mlflow: Mlflow = Mlflow()
    """Where trainings are recorded."""
    spark: dict[str, str] = Field(default={})
    """Spark properties of this job, below those given on the command line."""

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
        known = [f"{name}@{k}" for name in METRIC_NAMES for k in self.evaluate.k]
        for name in self.publish.min_metric:
            if name not in known or not self.evaluate.enabled:
                raise ValueError(f"publish.min_metric names `{name}`, which is not measured; {', '.join(known)} are")
        return self

    @model_validator(mode="after")
    def _k_within_top_n(self) -> Self:
        if self.evaluate.enabled and max(self.evaluate.k) > self.run.top_n:
            raise ValueError(f"evaluate.k = {self.evaluate.k} looks deeper than run.top_n = {self.run.top_n}")
        return self

    @model_validator(mode="after")
    def _rules_fit_together(self) -> Self:
        if self.score.top_n_per and self.rerank.max_per_category:
            raise ValueError("score.top_n_per keeps the best of each category and rerank.max_per_category cuts them")
        if self.score.normalise == "allowed" and not self.sources.allow_list:
            raise ValueError("score.normalise = `allowed` needs sources.allow_list")
        return self

    def fingerprint(self, *sections: str) -> str:
        """Return 16 hex digits that change when a value of the named sections (default: all) changes."""
        content = self.model_dump(mode="json", include=set(sections) if sections else None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
