"""The search space of `recsys-spark tune`, and the configurations that Optuna proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recsys_spark.config.model import Model
from recsys_spark.tuning.ledger import TriedEntry

Params = dict[str, Any]


@dataclass(frozen=True)
class Whole:
    """Whole numbers from ``low`` to ``high``."""

    name: str
    low: int
    high: int


@dataclass(frozen=True)
class Real:
    """Numbers from ``low`` to ``high``, drawn evenly or evenly in their logarithm."""

    name: str
    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class OneOf:
    """One of some values."""

    name: str
    values: tuple[int, ...]


Range = Whole | Real | OneOf
SPACE: tuple[Range, ...] = (
    OneOf("width", (32, 64, 96, 128, 192)),
    Whole("n_layers", 1, 3),
    Real("dropout", 0.0, 0.6),
    Real("id_dropout", 0.0, 0.8),
    Real("learning_rate", 5e-4, 1e-2, log=True),
    OneOf("batch_positions", (512, 1024, 2048, 4096, 8192)),
    Whole("epochs", 4, 24),
    Whole("target_window", 1, 8),
    Real("link_penalty", 10.0, 1000.0, log=True),
    Real("bce_weight", 0.0, 0.5),
)
"""Keys of [model]. A range is widened to hold the value of the configuration."""
DIGITS = 3
"""Significant digits of a number that is tried, so that people can read the configuration."""


def space_around(base: Model, space: Sequence[Range] = SPACE) -> tuple[Range, ...]:
    """Return the ranges with the values of ``base`` in them; widths are multiples of its `n_heads`.

    >>> space_around(Model(width=48, n_heads=3), [OneOf("width", (64, 96)), Whole("epochs", 4, 8)])
    (OneOf(name='width', values=(48, 96)), Whole(name='epochs', low=4, high=12))
    """
    widened: list[Range] = []
    for one in space:
        value = getattr(base, one.name)
        if isinstance(one, OneOf):
            fitting = {v for v in one.values if one.name != "width" or v % base.n_heads == 0}
            widened.append(OneOf(one.name, tuple(sorted(fitting | {value}))))
        elif isinstance(one, Whole):
            widened.append(Whole(one.name, min(one.low, value), max(one.high, value)))
        else:
            widened.append(Real(one.name, min(one.low, value), max(one.high, value), one.log))
    return tuple(widened)


def as_json(space: Sequence[Range]) -> list[dict[str, Any]]:
    """Return plain values that change when a range does."""
    return [{"kind": type(one).__name__, **asdict(one)} for one in space]


def proposals(base: Model, space: Sequence[Range], trials: Sequence[TriedEntry], n: int, seed: int) -> list[Params]:
    """Return ``n`` configurations to try after ``trials``; the first of all is ``base``, whose values ``space`` holds.

    They depend only on the arguments. After a crash the study is made anew from the tries, and proposes the same as
    without the crash.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # constant_liar keeps configurations apart that are tried at the same time; multivariate joins the ranges.
    sampler = optuna.samplers.TPESampler(seed=seed + len(trials), multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {one.name: _distribution(one) for one in space}
    for trial in trials:
        states = optuna.trial.TrialState
        study.add_trial(
            optuna.trial.create_trial(
                # TPE learns nothing from a FAIL. From a PRUNED trial it learns that it is worse than all complete ones.
                state=states.COMPLETE if trial.reason is None else states.PRUNED,
                value=trial.ndcg if trial.reason is None else None,
                params=dict(trial.params),
                distributions=distributions,
            )
        )
    first = [] if trials else [{one.name: getattr(base, one.name) for one in space}]
    asked = [study.ask(distributions).params for _ in range(n - len(first))]
    return first + [{one.name: _rounded(one, params[one.name]) for one in space} for params in asked]


def configured(base: Model, params: Mapping[str, Any]) -> Model:
    """Return ``base`` with other values, checked like the values of a file."""
    return Model.model_validate(base.model_dump() | dict(params))


def _distribution(one: Range) -> Any:
    from optuna import distributions

    if isinstance(one, OneOf):
        return distributions.CategoricalDistribution(one.values)
    if isinstance(one, Whole):
        return distributions.IntDistribution(one.low, one.high)
    return distributions.FloatDistribution(one.low, one.high, log=one.log)


def _rounded(one: Range, value: Any) -> Any:
    return min(max(float(f"{value:.{DIGITS}g}"), one.low), one.high) if isinstance(one, Real) else value
