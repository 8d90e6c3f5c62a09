"""What training says after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from recsys_spark.training.kernels.held_out import Found, K


@dataclass(frozen=True)
class EpochLoss:
    """Mean losses of an epoch and how long it took."""

    epoch: int
    of: int
    """How many epochs this run has at most"""
    loss: float
    cross_entropy: float
    bce: float
    seconds: float

    def line(self) -> str:
        """For a log."""
        return (
            f"epoch {self.epoch}/{self.of} loss {self.loss:.4f} "
            f"(cross-entropy {self.cross_entropy:.4f}, bce {self.bce:.4f}) {self.seconds:.1f} s"
        )

    def as_dict(self) -> dict[str, float]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TrialEpoch:
    """An epoch of the trial run."""

    loss: EpochLoss
    found: Found | None
    """How it did on the held-out behaviours, where that was looked at: after the last epoch, with `patience` after each"""

    def line(self) -> str:
        """For a log."""
        said = f", held-out ndcg@{K} {self.found.ndcg:.4f}" if self.found else ""
        return f"trial {self.loss.line()}{said}"

    def as_dict(self) -> dict[str, float]:
        """Plain values, for JSON."""
        return {**self.loss.as_dict(), **(asdict(self.found) if self.found else {})}

    @staticmethod
    def parse(values: Mapping[str, Any]) -> TrialEpoch:
        """Inverse of :meth:`as_dict`."""
        loss = EpochLoss(**{field.name: values[field.name] for field in fields(EpochLoss)})
        found = {field.name: values[field.name] for field in fields(Found) if field.name in values}
        return TrialEpoch(loss, Found(**found) if found else None)


OnEpoch = Callable[[EpochLoss | TrialEpoch], None]
