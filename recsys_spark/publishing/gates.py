"""The gates that must hold before a partition becomes visible: one entry a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from recsys_spark.config.sections import Publish
from recsys_spark.errors import PublishRefused
from recsys_spark.publishing.list_facts import ListFacts


@dataclass(frozen=True)
class Night:
    """What the gates look at."""

    lists: ListFacts
    metrics: Mapping[str, float]
    """Backtest metrics of our model over all users, named `ndcg@10`."""
    n_rejected: int
    """Input rows that were rejected."""
    n_input: int
    """Input rows that were rejected or used."""


@dataclass(frozen=True)
class Reading:
    """One value that a gate compares with its bound."""

    name: str
    """As the manifest and a refusal say it."""
    value: float
    bound: float


@dataclass(frozen=True)
class Gate:
    """One gate. It holds where each of its readings is on the right side of its bound; NaN never is."""

    key: str | None
    """Key of `[publish]` that has the bound; None for a gate that cannot be changed."""
    sign: Literal[">=", "<="]
    read: Callable[[Publish, Night], Iterable[Reading]]

    def holds(self, reading: Reading) -> bool:
        """Return whether a value is on the right side of its bound."""
        return reading.value >= reading.bound if self.sign == ">=" else reading.value <= reading.bound


def _min_users(cfg: Publish, night: Night) -> Iterator[Reading]:
    yield Reading("publish.min_users", night.lists.n_lists, cfg.min_users)


def _min_full_share(cfg: Publish, night: Night) -> Iterator[Reading]:
    yield Reading("publish.min_full_share", night.lists.n_full / max(night.lists.n_users, 1), cfg.min_full_share)


def _finite_scores(_: Publish, night: Night) -> Iterator[Reading]:
    yield Reading("scores that are not a number", night.lists.n_bad_scores, 0)


def _max_rejected_share(cfg: Publish, night: Night) -> Iterator[Reading]:
    yield Reading("publish.max_rejected_share", night.n_rejected / max(night.n_input, 1), cfg.max_rejected_share)


def _min_metric(cfg: Publish, night: Night) -> Iterator[Reading]:
    for name, least in cfg.min_metric.items():
        yield Reading(f"publish.min_metric {name}", night.metrics.get(name, float("nan")), least)


GATES: dict[str, Gate] = {
    "users": Gate("min_users", ">=", _min_users),
    "full lists": Gate("min_full_share", ">=", _min_full_share),
    "finite scores": Gate(None, "<=", _finite_scores),
    "rejected rows": Gate("max_rejected_share", "<=", _max_rejected_share),
    "metrics": Gate("min_metric", ">=", _min_metric),
}
"""The one list of gates, in the order in which they are told."""


def check_gates(cfg: Publish, night: Night) -> list[str]:
    """Return the gates that hold, in words. Raises PublishRefused naming those that do not."""
    told = [(gate, reading) for gate in GATES.values() for reading in gate.read(cfg, night)]
    failed = [(gate, reading) for gate, reading in told if not gate.holds(reading)]
    if failed:
        names = [reading.name for _, reading in failed]
        raise PublishRefused(
            f"The partition was not published: {', '.join(names)} {'does' if len(names) == 1 else 'do'} not hold",
            where=", ".join(names),
            found=", ".join(f"{reading.name} = {reading.value:.6g}" for _, reading in failed),
            expected=", ".join(f"{reading.name} {gate.sign} {reading.bound:g}" for gate, reading in failed),
            action="Look at STORE/reports and rejected_rows; mend the input, or change the gate, and run again.",
        )
    return [f"{reading.name}: {reading.value:.6g} {gate.sign} {reading.bound:g}" for gate, reading in told]
