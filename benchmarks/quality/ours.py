"""Our model by the project's kernels in this process: the training task's, then score = w_cos cos + w_ce log P.

Nothing is chosen here: `ours` is the default configuration. `ours:epochs=8;w_cos=0` changes single values:

- keys of [model] and [score];
- `text`, `tags`, `friends`, `types` = 0, which take an ingredient away;
- `push` = 0, which takes back how far the trial pushed cold items.

Methods that come one after the other and differ in [score] or the push alone share a training: the `fit_s` of all
except the first is next to nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from benchmarks.common.suite import say
from benchmarks.quality.data import World
from benchmarks.quality.methods import Fitted, Method, Settings, Texts, Train
from benchmarks.quality.profiles import decayed_popularity, input_table
from recsys_spark.config.model import Model
from recsys_spark.config.sections import Score
from recsys_spark.numerics.arrays import F64, I64
from recsys_spark.scoring.kernels import rank

if TYPE_CHECKING:
    from recsys_spark.model.kernels.artifact import Artifact
    from recsys_spark.model.kernels.histories import Histories
    from recsys_spark.training.kernels.data import Data

OURS = "ours"
SEED = 0
Real = npt.NDArray[np.floating]
INGREDIENTS = ("text", "tags", "friends", "types")
PUSH = "push"


def ours(name: str) -> Method:
    """Return the method of a name such as `ours` or `ours:epochs=8;w_cos=0`.

    Raises ValueError for a key that is not known, and for an ingredient that is not 0.
    """
    settings: dict[str, float] = {}
    taken_away = {*INGREDIENTS, PUSH}
    for key, value in changes_of(name).items():
        if key not in {*Model.model_fields, *Score.model_fields, *taken_away}:
            known = ", ".join((*INGREDIENTS, PUSH))
            raise ValueError(f"{name}: {key} is not a key of [model] or [score], and not among {known}")
        settings[key] = float(value)
        if key in taken_away and settings[key]:
            raise ValueError(f"{name}: {key} can be 0 only, which takes it away")
    return Method(name, fit_ours, [settings], serves_cold_users=True)


def changes_of(method: str) -> dict[str, str]:
    """Return what a method of ours changes.

    >>> changes_of("ours"), changes_of("ours:epochs=8;w_cos=0")
    ({}, {'epochs': '8', 'w_cos': '0'})
    """
    _, _, changes = method.partition(":")
    pairs = (change.partition("=") for change in filter(None, changes.split(";")))
    return {key: value for key, _, value in pairs}


def data_of(world: World, texts: Texts) -> tuple[Data, Histories]:
    """Return what training is told of a world, and the histories of all its users, empty ones included."""
    from recsys_spark.model.kernels.histories import Positions, from_arrow
    from recsys_spark.model.kernels.popularity import Popularity
    from recsys_spark.training.kernels.data import Catalogue, Data

    total = np.bincount(world.rows.item, minlength=world.n_items).astype(np.float64)
    catalogue = Catalogue(world.items, texts.items, texts.has_item, Popularity(decayed_popularity(world), total))
    behaviours = sorted(world.settings.behaviours.weights)
    numbers = {name: k for k, name in enumerate(behaviours)}
    histories = from_arrow(input_table(world, texts), Positions(world.items), numbers, texts.items.shape[1])
    data = Data(
        catalogue,
        histories.take(np.flatnonzero(histories.lengths > 0)),
        behaviours,
        type_weights=[world.settings.behaviours.weights[name] for name in behaviours],
        default_weight=world.settings.behaviours.default_weight or 0.0,
        half_life_days=world.settings.popular_half_life_days,
        max_history=world.settings.behaviours.max_history,
    )
    return data, histories


def fit_ours(train: Train, settings: Settings) -> Fitted:
    """Train and keep the item vectors; users are served from their histories, tags and friends."""
    from recsys_spark.model.kernels.links import columns_of
    from recsys_spark.model.kernels.recommender import Recommender
    from recsys_spark.training.kernels.fit import fit
    from recsys_spark.worker.threads import limit_threads

    limit_threads(train.n_threads)
    model = Model(**{key: value for key, value in settings.items() if key in Model.model_fields})
    score = Score(**{key: value for key, value in settings.items() if key in Score.model_fields})
    world, texts = without(train.world, train.texts(), settings)
    data, histories = data_of(world, texts)
    absent = frozenset(name for name in INGREDIENTS if settings.get(name) == 0)
    artifact = train.shared(
        ("ours", model, absent), lambda: fit(data, model, seed=SEED, on_epoch=lambda entry: say(f"  {entry.line()}"))
    )
    if settings.get(PUSH) == 0:
        artifact = without_push(artifact)
    score = score.chosen(artifact.facts.choices.w_cos)
    recommender = Recommender(artifact)
    vectors = recommender.item_vectors(world.items, texts.items, texts.has_item, data.catalogue.popularity)
    y_unit = _unit(vectors.y)
    position = columns_of(vectors.link)

    def of_users(users: I64) -> tuple[Real, Cells]:
        x = recommender.user_vectors(histories.take(users), vectors.token)
        boosts = recommender.user_boosts(histories.take(users), vectors.link)
        return x, (boosts.row, position[boosts.item], boosts.value)

    def scores(users: I64) -> F64:
        x, boosts = of_users(users)
        return combined(x, y_unit, vectors.theta, vectors.bias, score, boosts)

    def log_prob(users: I64) -> F64:
        x, boosts = of_users(users)
        return log_probabilities(x, vectors.theta, vectors.bias, score.temperature, boosts)

    return Fitted(scores, (histories.lengths > 0) | histories.has_text | histories.has_social, log_prob, artifact.facts)


def without_push(artifact: Artifact) -> Artifact:
    """Return the model with cold items as they were before its trial pushed them; its facts keep how far that was."""
    return replace(artifact, tensors=artifact.facts.choices.remove(artifact.tensors, ["cold_item_boost"]))


Cells = tuple[I64, I64, Real]
"""Row, column, value"""


def combined(x: Real, y_unit: Real, theta: Real, bias: Real, score: Score, boosts: Cells) -> F64:
    """Return [B, n_items]: w_cos * cos(x, y) + w_ce * log P.

    >>> one, none = np.ones((1, 1)), np.empty(0, np.int64)
    >>> found = combined(one, np.array([[1.0], [-1.0]]), np.zeros((2, 1)), np.zeros(2), Score(), (none, none, none))
    >>> found.round(4).tolist()
    [[0.3069, -1.6931]]
    """
    log_p = log_probabilities(x, theta, bias, score.temperature, boosts)
    scores: F64 = rank.combined(rank.Rank.of(score), _unit(x) @ y_unit.T, log_p)
    return scores


def log_probabilities(x: Real, theta: Real, bias: Real, temperature: float, boosts: Cells) -> F64:
    """Return [B, n_items]: log P, the softmax of (theta.x + b + boosts) / T over the whole catalogue.

    The model's own T is in all three.
    """
    logits = np.asarray(x, np.float64) @ theta.T + bias
    logits[boosts[0], boosts[1]] += boosts[2]
    logits /= temperature
    log_p: F64 = logits - logsumexp(logits, axis=1, keepdims=True)
    return log_p


def without(world: World, texts: Texts, settings: Settings) -> tuple[World, Texts]:
    """Return the world and its texts without the ingredients that are set to 0."""
    absent = {name for name in INGREDIENTS if settings.get(name) == 0}
    if "text" in absent:
        texts = replace(texts, items=np.zeros_like(texts.items), has_item=np.zeros_like(texts.has_item))
    if "tags" in absent:
        texts = replace(texts, users=np.zeros_like(texts.users), has_user=np.zeros_like(texts.has_user))
    if "friends" in absent:
        world = replace(world, friends=np.empty((0, 2), np.int64))
    if "types" in absent:
        # One type for all, of weight 1 and without a value.
        rows = replace(
            world.rows,
            behaviour=np.zeros_like(world.rows.behaviour),
            value=np.full_like(world.rows.value, np.nan),
        )
        alike = world.settings.behaviours.model_copy(update={"weights": {world.behaviours[0]: 1.0}})
        world = replace(world, rows=rows, settings=replace(world.settings, behaviours=alike))
    return world, texts


def _unit(vectors: Real) -> F64:
    """Rows at length 1; a zero row stays zero, so that its cosine is 0."""
    wide = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(norms > 0, norms, 1.0)
