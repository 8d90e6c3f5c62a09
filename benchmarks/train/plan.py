"""What the parts of the training benchmark are told: how often, how long, and on which data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.common.suite import Plan, check_known, names

BEAUTY, MOVIELENS = "amazon-beauty", "ml-latest-small"


@dataclass(frozen=True)
class TrainPlan(Plan):
    """``rounds`` and ``epochs`` are those of processes and growth, ``n_items`` those of items."""

    rounds: int = 3
    epochs: int = 3
    """The first is not timed"""
    n_items: int = 1_000_000
    datasets: tuple[str, ...] = ()
    """The usual ones of a part if there are none"""

    @property
    def by(self) -> str:
        """Return the key that lets the rows of other data sets stay."""
        return "dataset"


TINY = {"rounds": 1, "epochs": 2, "n_items": 2_000}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone understands."""
    parser.add_argument(
        "--datasets", type=names, default=[], help="data sets of bench-quality; by default the part's own"
    )
    parser.add_argument("--rounds", type=int, default=TrainPlan.rounds, help="of processes and growth")
    parser.add_argument("--epochs", type=int, default=TrainPlan.epochs, help="of processes and growth, at least 2")
    parser.add_argument("--items", type=int, help=f"of the part items, by default {TrainPlan.n_items:,}")


def plan_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> TrainPlan:
    """Return the plan of the command line; refuse data sets that nobody knows, and a single epoch."""
    from benchmarks.quality.readers import READERS

    check_known(parser, "datasets", arguments.datasets, READERS)
    if arguments.epochs < 2:
        parser.error("--epochs: the first epoch is not timed, so at least 2")
    usual = {"rounds": arguments.rounds, "epochs": arguments.epochs, "n_items": TrainPlan.n_items}
    sizes = TINY if arguments.tiny else usual
    sizes |= {"n_items": arguments.items} if arguments.items else {}
    return TrainPlan(arguments.cores, arguments.tiny, **sizes, datasets=tuple(arguments.datasets))


def datasets_of(plan: TrainPlan, usual: Sequence[str]) -> Sequence[str]:
    """Return the data sets that were asked for, else the ``usual`` ones; the tiny world is `tiny`."""
    return ("tiny",) if plan.tiny else plan.datasets or usual
