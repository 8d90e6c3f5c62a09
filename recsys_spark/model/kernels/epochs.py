"""The record of a training, epoch by epoch: losses, and the quality of a trial run on behaviours that it was not
shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from recsys_spark.model.kernels.json_record import MAY_BE_NAN

K = 10
"""Items of a list that metrics look at."""


@dataclass(frozen=True)
class EpochLoss:
    """Mean losses of an epoch, and the time it took."""

    epoch: int
    of: int
    """The largest number of epochs of this run"""
    loss: float
    cross_entropy: float
    bce: float
    seconds: float

    def line(self) -> str:
        """Return a line for a log."""
        return (
            f"epoch {self.epoch}/{self.of} loss {self.loss:.4f} "
            f"(cross-entropy {self.cross_entropy:.4f}, bce {self.bce:.4f}) {self.seconds:.1f} s"
        )

    def as_dict(self) -> dict[str, float]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """Metrics of a model on held-out behaviours."""

    ndcg: float
    """At K, over the whole catalogue; without items that the user has touched, unless repeats are asked for"""
    recall: float
    """At K, as above"""
    nll: float = field(metadata=MAY_BE_NAN)
    """Mean -log P(item) of a held-out behaviour, P over the whole catalogue at the temperature below"""
    temperature: float
    """The T with the smallest -log P; 1 if -log P is not a number"""

    def as_dict(self) -> dict[str, float]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TrialEpoch:
    """An epoch of the trial run."""

    loss: EpochLoss
    found: Found | None
    """Metrics on the held-out behaviours, if they were measured: after the last epoch, or with `patience` after each"""

    def line(self) -> str:
        """Return a line for a log."""
        said = f", held-out ndcg@{K} {self.found.ndcg:.4f}" if self.found else ""
        return f"trial {self.loss.line()}{said}"

    def as_dict(self) -> dict[str, float]:
        """Return plain values, for JSON."""
        return {**self.loss.as_dict(), **(self.found.as_dict() if self.found else {})}

    @staticmethod
    def parse(values: Mapping[str, Any]) -> TrialEpoch:
        """Return the epoch of :meth:`as_dict`."""
        loss = EpochLoss(**{one.name: values[one.name] for one in fields(EpochLoss)})
        found = {one.name: values[one.name] for one in fields(Found) if one.name in values}
        return TrialEpoch(loss, Found(**found) if found else None)
