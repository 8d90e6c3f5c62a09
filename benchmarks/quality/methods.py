"""What a method is to the quality benchmark, and how it is tuned.

To add one, write `fit(train, settings) -> Fitted` and put a Method into a registry (BASELINES, FACTORS, SEQUENCES).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.quality.data import World
from benchmarks.quality.metrics import COLD_USERS, OVERALL, SHOWN, Score, evaluate
from benchmarks.quality.split import Split, validation_of
from recsys_spark.model.kernels.facts import ModelFacts
from recsys_spark.numerics.arrays import F32, F64, I64, Bools

Settings = Mapping[str, Any]
T = TypeVar("T")
MAX_TUNING_USERS = 10_000


@dataclass(frozen=True)
class Texts:
    """Vectors of a frozen encoder; without a text they are zero."""

    items: F32
    """[n_items, h]"""
    has_item: Bools
    """[n_items]"""
    users: F32
    """[n_users, h] of interest tags"""
    has_user: Bools
    """[n_users]"""


@dataclass(frozen=True)
class Train:
    """What a method gets."""

    world: World
    """Without a row of what it will be asked for"""
    texts: Callable[[], Texts]
    """Encodes at the first call"""
    n_threads: int = 1
    last_made: dict[str, Any] = field(default_factory=dict)
    """Of :meth:`shared`"""

    def shared(self, of: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` gave if it was last asked for the same, else what it gives now.

        Methods that come one after the other can so share a training.

        >>> train = Train(None, lambda: None)  # type: ignore[arg-type, return-value]
        >>> [train.shared(of, lambda: object()) is train.last_made["made"] for of in "aab"], train.last_made["of"]
        ([True, True, True], 'b')
        """
        if self.last_made.get("of") != of:
            made = make()
            self.last_made.update(of=of, made=made)
        found: T = self.last_made["made"]
        return found


@dataclass(frozen=True)
class Fitted:
    """A method that has learned."""

    score: Score
    serves: Bools
    """[n_users] whether it knows anything of the user; others get what is popular, as in a shop"""
    log_prob: Score | None = None
    """Log of the probability that each item of the whole catalogue is a user's next; None if the method gives none"""
    facts: ModelFacts | None = None
    """What the training recorded, as `Artifact.facts`; None if the method records nothing"""


@dataclass(frozen=True)
class Method:
    """A way of recommending."""

    name: str
    fit: Callable[[Train, Settings], Fitted]
    grid: Sequence[Settings] = ({},)
    """The settings tried on the validation slice; the first wins ties"""
    applies: Callable[[World], bool] = lambda _: True
    serves_cold_users: bool = False
    """Whether it can rank for users without a row; else hiding whole users would only measure popularity again"""


@dataclass(frozen=True)
class Tuned:
    """What tuning found."""

    settings: Settings
    tried: list[tuple[Settings, float]]
    """Each setting and its ndcg on the validation slice"""


def tune(method: Method, split: Split, texts: Callable[[], Texts], n_threads: int) -> Tuned:
    """Return the best setting of the grid by ndcg on a slice of train, cut out as the test was cut out of all."""
    if len(method.grid) == 1:
        return Tuned(method.grid[0], [])
    validation = validation_of(split)
    train = Train(validation.train, texts, n_threads)
    tried = []
    for settings in method.grid:
        values = evaluate(served(method.fit(train, settings), train.world), validation, MAX_TUNING_USERS)
        asked = values[OVERALL] if len(values[OVERALL].users) else values[COLD_USERS]
        tried.append((settings, float(np.nan_to_num(asked.means[SHOWN.index("ndcg")]))))
    return Tuned(max(tried, key=lambda pair: pair[1])[0], tried)


def served(fitted: Fitted, world: World) -> Score:
    """Return the method's scores, and popularity for users it knows nothing of."""
    popular = popularity(world)

    def score(users: I64) -> npt.NDArray[np.floating]:
        known = fitted.serves[users]
        if known.all():
            return fitted.score(users)
        scores = np.tile(popular, (len(users), 1))
        if known.any():
            scores[known] = fitted.score(users[known])
        return scores

    return score


def popularity(world: World) -> F64:
    """Return [n_items]: users who did anything with an item."""
    return np.asarray(world.matrix.sum(0), np.float64).ravel()


def has_history(world: World) -> Bools:
    """Return [n_users]: whether a user has a row."""
    return np.bincount(world.rows.user, minlength=world.n_users) > 0
