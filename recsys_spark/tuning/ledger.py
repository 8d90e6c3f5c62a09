"""The tries of `recsys-spark tune` so far, kept in the store round by round so that a later call goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recsys_spark.errors import StoreError
from recsys_spark.store.areas import Store

TO_DO = "Delete that folder to begin anew; only `tune` reads it."


@dataclass(frozen=True)
class TriedEntry:
    """A configuration that was tried."""

    params: Mapping[str, Any]
    ndcg: float
    recall: float
    nll: float
    losses: Sequence[float]
    """Loss of each epoch"""
    seconds: float
    gain: float
    """Mean over users of their ndcg minus their ndcg with the file's configuration; 0 if either failed"""
    gain_error: float
    """Standard error of that mean"""
    reason: str | None = None
    """Why the configuration failed; None if it did not"""


@dataclass(frozen=True)
class Ledger:
    """The rounds of one tuning; ``key`` stands for its data, settings, search space and seed."""

    store: Store
    run_date: str
    key: str

    @property
    def folder(self) -> str:
        """Return the folder of the rounds."""
        return self.store.tuning_path(self.run_date, self.key)

    def read(self) -> tuple[list[TriedEntry], np.ndarray | None]:
        """Return all trials in their order, and each user's ndcg [n] with the first, the configuration of the file.

        Both are empty before the first round. A round is named after the number of trials before it. Raises StoreError
        if a round is cut short, missing, or of another tuning.
        """
        trials: list[TriedEntry] = []
        baseline: list[float] | None = None
        for name, content in self.store.tuning_rounds(self.run_date, self.key):
            path = f"{self.folder}/{name}"
            try:
                read = json.loads(content)
                found = [TriedEntry(**trial) for trial in read["trials"]]
                key, users = read["key"], read["baseline"]
            except (ValueError, TypeError, KeyError) as error:
                raise StoreError(
                    "A round of an earlier tuning cannot be read",
                    where=path,
                    found=f"{len(content):,} bytes, {type(error).__name__}: {error}",
                    expected="the whole JSON that `tune` wrote",
                    action=TO_DO,
                ) from error
            if key != self.key or name != round_name(len(trials)):
                raise StoreError(
                    "A round of an earlier tuning does not belong here",
                    where=path,
                    found=f"a round of tuning {key} that follows {len(trials)} configurations",
                    expected=f"a round of tuning {self.key} named {round_name(len(trials))}",
                    action=TO_DO,
                )
            baseline = users if not trials else baseline
            trials += found
        return trials, None if baseline is None else np.array(baseline, np.float64)

    def add(self, n_before: int, trials: Sequence[TriedEntry], baseline: np.ndarray | None) -> None:
        """Keep a round. ``baseline`` is each user's ndcg [n] with the configuration of the file; only the first
        round holds it."""
        users = None if baseline is None or n_before else baseline.tolist()
        content = {"key": self.key, "trials": [asdict(trial) for trial in trials], "baseline": users}
        self.store.write_tuning_round(
            self.run_date, self.key, round_name(n_before), json.dumps(content, ensure_ascii=False, indent=1).encode()
        )


def round_name(n_before: int) -> str:
    """Return the file name of the round that follows ``n_before`` trials."""
    return f"{n_before:05d}.json"
