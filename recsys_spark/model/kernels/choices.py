"""The values that a trial run chooses because the loss cannot.

Each choice stands here once, with its grid, its place in the tensors and its words. To add a choice, add a field to
:class:`Choices` and raise FORMAT_VERSION in recsys_spark/model/kernels/facts.py, because earlier model files lack it.
The trial tries its grid, the model stores it, and log, card, report and benchmarks print it. A faster search than
trying the whole model is a function in :mod:`recsys_spark.training.kernels.choosing`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsys_spark.model.kernels.popularity import N_FEATURES
from recsys_spark.model.kernels.tower import SCALAR_STEPS
from recsys_spark.numerics.arrays import F32

Tensors = dict[str, npt.NDArray[Any]]
USUAL_STRENGTH = 2.0
"""Better than the value that the loss finds (1) on six of seven validation slices of public data;
docs/decisions/0014."""
LINK_STRENGTHS = (1.0, 1.5, USUAL_STRENGTH, 3.0, 4.0, 6.0, 9.0, 14.0)
"""With the largest value, lists of users with a history are nearly the lists of EASE. (Steam, validation: ndcg@10
0.3659 at 14 times, EASE 0.3677.)"""
TEMPERATURES: F32 = np.exp(np.linspace(-1.2, 2.0, 33)).astype(np.float32)
COLD_ITEM_BOOSTS = tuple(0.25 * k for k in range(25))
USUAL_COSINE = 1.0
COSINES = (0.0, 0.5, USUAL_COSINE, 2.0, 4.0)
"""Weights of the cosine next to the logit as it was trained."""


def _as_it_was(tensors: Tensors, _: float) -> Tensors:
    return tensors


@dataclass(frozen=True)
class Choice:
    """One thing that a trial chooses."""

    usual: float
    """The value of a model without a trial"""
    grid: tuple[float, ...]
    """The values that a trial tries, ascending; `usual` is one of them"""
    clause: str
    """For model card and report: the meaning, with a place for the value"""
    short: str
    """For log lines"""
    heading: str
    """Heading of a table's column"""
    put_in: Callable[[Tensors, float], Tensors] = _as_it_was
    """Returns the tensors with a value put into them; the given ones stay as they are"""
    take_out: Callable[[Tensors, float], Tensors] = _as_it_was
    """Inverse of `put_in`"""
    as_trained: float | None = None
    """The value that leaves the tensors as they were trained; None if that is the usual value"""
    open_ends: tuple[int, ...] = (0, -1)
    """Places in the grid beyond which a better value may lie. An end by nature (no push, no cosine) does not count"""
    on_grid: Callable[[Choices, float], float] = lambda _, value: value
    """The value of the grid that became the stored value"""


def choice(**known: Any) -> Any:
    """Return a field of :class:`Choices`; the arguments are those of :class:`Choice`."""
    one = Choice(**known)
    return field(default=one.usual, metadata={"choice": one})


def cold_push(boost: float) -> F32:
    """Return the addition to the weights of the features [N_FEATURES] that raises logits of items nobody has chosen by
    ``boost``.

    >>> cold_push(1.5).tolist()
    [0.0, 0.0, 1.5]
    """
    return np.array([0.0] * (N_FEATURES - 1) + [boost], np.float32)


def _strengthened(tensors: Tensors, log_times: float) -> Tensors:
    link = tensors["items.link"].copy()
    link[0] += np.float32(log_times / SCALAR_STEPS)
    return {**tensors, "items.link": link}


@dataclass(frozen=True)
class Choices:
    """The values of one model, stored in it."""

    link_strength: float = choice(
        usual=USUAL_STRENGTH,
        grid=LINK_STRENGTHS,
        clause="links count {:.1f} times their trained strength",
        short="links count {:.1f} times their trained strength",
        heading="links, times",
        put_in=lambda tensors, times: _strengthened(tensors, float(np.log(times))),
        take_out=lambda tensors, times: _strengthened(tensors, -float(np.log(times))),
        as_trained=1.0,
    )
    """Factor of the links, where 1 is the strength that the loss found"""
    temperature: float = choice(
        usual=1.0,
        grid=tuple(TEMPERATURES.tolist()),
        clause="P is truest at temperature {:.2f}",
        short="temperature {:.2f}",
        heading="temperature",
        put_in=lambda tensors, value: {**tensors, "temperature": np.array(value, np.float32)},
        take_out=lambda tensors, _: {**tensors, "temperature": np.array(1.0, np.float32)},
    )
    """P = softmax(logit / temperature)"""
    cold_item_boost: float = choice(
        usual=0.0,
        grid=COLD_ITEM_BOOSTS,
        clause="logits of cold items are raised by {:.2f}",
        short="cold items +{:.2f}",
        heading="cold items, +",
        put_in=lambda tensors, boost: {**tensors, "items.beta": tensors["items.beta"] + cold_push(boost)},
        take_out=lambda tensors, boost: {**tensors, "items.beta": tensors["items.beta"] - cold_push(boost)},
        open_ends=(-1,),
    )
    """Added to the logits of items that nobody has chosen, before the temperature"""
    w_cos: float = choice(
        usual=USUAL_COSINE,
        grid=COSINES,
        clause="w_cos is {:.2f} if the configuration does not set it",
        short="w_cos {:.2f}",
        heading="w_cos",
        open_ends=(-1,),
        # The temperature divides the logits only.
        on_grid=lambda choices, value: value * choices.temperature,
    )
    """Weight of the cosine next to log P, if the configuration does not set it"""

    @classmethod
    def every(cls) -> dict[str, Choice]:
        """Return the choices by name, in their order."""
        return {one.name: one.metadata["choice"] for one in fields(cls)}

    @classmethod
    def as_trained(cls) -> Self:
        """Return the values that leave tensors as the training made them.

        >>> Choices.as_trained().link_strength
        1.0
        """
        return cls(**{n: one.usual if one.as_trained is None else one.as_trained for n, one in cls.every().items()})

    @classmethod
    def parse(cls, values: Mapping[str, float]) -> Self:
        """Return the choices of :meth:`as_dict`."""
        return cls(**values)

    def as_dict(self) -> dict[str, float]:
        """Return plain values by name, for JSON."""
        return asdict(self)

    def apply(self, tensors: Tensors) -> Tensors:
        """Return the tensors with all values put in; the given ones stay as they are."""
        for _, one, value in self._values():
            tensors = one.put_in(tensors, value)
        return tensors

    def remove(self, tensors: Tensors, names: Collection[str] | None = None) -> Tensors:
        """Undo :meth:`apply`, except for rounding; with ``names``, only those choices."""
        for name, one, value in reversed(list(self._values())):
            if names is None or name in names:
                tensors = one.take_out(tensors, value)
        return tensors

    def clauses(self) -> str:
        """Return the chosen values in words, for model card and report."""
        return ", ".join(one.clause.format(value) for _, one, value in self._values())

    def line(self) -> str:
        """Return the chosen values in words, for a log.

        >>> Choices().line()[:46]
        'links count 2.0 times their trained strength, '
        """
        return ", ".join(one.short.format(value) for _, one, value in self._values())

    def at_grid_ends(self) -> list[str]:
        """Return the names of choices at the last value of their grid: a better value may lie beyond.

        >>> Choices().at_grid_ends(), Choices(link_strength=LINK_STRENGTHS[-1], w_cos=0.0).at_grid_ends()
        ([], ['link_strength'])
        """
        return [
            name
            for name, one, value in self._values()
            if np.isclose([one.grid[end] for end in one.open_ends], one.on_grid(self, value)).any()
        ]

    def _values(self) -> Iterator[tuple[str, Choice, float]]:
        for name, one in self.every().items():
            yield name, one, getattr(self, name)
