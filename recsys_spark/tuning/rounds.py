"""`recsys-spark tune`: rounds of configurations on the validation slice, the ledger of tries, and the choice of a
winner."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys_spark.config.model import Model
from recsys_spark.errors import TrainingError
from recsys_spark.model.inputs import item_inputs, user_inputs
from recsys_spark.model.kernels.epochs import K
from recsys_spark.pipeline import BY_NAME, stage_key
from recsys_spark.profiles.users import WITH_HISTORY
from recsys_spark.spark.gpus import gpu_profile
from recsys_spark.spark.session import is_local, shared_threads
from recsys_spark.steps.context import Context
from recsys_spark.steps.names import STAGE_NAMES
from recsys_spark.tables import ITEM_PROFILES, USER_PROFILES
from recsys_spark.tuning.ledger import Ledger, TriedEntry
from recsys_spark.tuning.space import SPACE, Params, Range, as_json, configured, proposals, space_around
from recsys_spark.tuning.tasks import Result, build_tried_rows, results_of

log = logging.getLogger("recsys_spark")
STAGES_BEFORE = STAGE_NAMES[: STAGE_NAMES.index("train")]
WINS_BY = 1.0
"""Standard errors of the paired difference over users. In doubt the configuration of the file wins, as in decision
14."""


@dataclass(frozen=True)
class Tuned:
    """The result of a tuning."""

    trials: Sequence[TriedEntry]
    """In the order in which they were tried, the configuration of the file first"""
    winner: int
    """Place of the winner among the trials; 0 if nothing was better than the file"""
    n_users: int
    """Held-out users who were asked; 0 if the configuration of the file failed"""
    ledger: str

    @property
    def changes(self) -> Mapping[str, Any]:
        """Return the values of the winner that differ from the file."""
        own = self.trials[0].params
        return {name: value for name, value in self.trials[self.winner].params.items() if value != own[name]}


def tune(ctx: Context, *, n_trials: int, parallel: int, seed: int, space: Sequence[Range] = SPACE) -> Tuned:
    """Try ``n_trials`` configurations, ``parallel`` at once, and return them with the winner.

    Tries of earlier calls with the same inputs count. The stages before train must have run. Raises DataError if too
    few users can be held out, TrainingError if no configuration can be trained, StoreError if earlier tries cannot be
    read.
    """
    base = ctx.cfg.model
    space = space_around(base, space)
    ledger = Ledger(ctx.store, ctx.run_date, tuning_key(ctx, space, seed))
    trials, baseline = ledger.read()
    if trials:
        log.info("tune: goes on after %d configurations of an earlier call, in %s", len(trials), ledger.folder)
    while len(trials) < n_trials:
        params = proposals(base, space, trials, min(parallel, n_trials - len(trials)), seed)
        results = _tried(ctx, [configured(base, one) for one in params])
        if not trials and results[0].reason is None:
            baseline = results[0].per_user
        found = [_trial(one, result, baseline) for one, result in zip(params, results, strict=True)]
        ledger.add(len(trials), found, baseline)
        trials += found
        log.info("tune: %d of %d configurations tried, %s", len(trials), n_trials, _best_so_far(trials))
    return Tuned(trials, winner_of(trials, ledger.folder), 0 if baseline is None else len(baseline), ledger.folder)


def tuning_key(ctx: Context, space: Sequence[Range], seed: int) -> str:
    """Return 16 hex digits of all that a tuning depends on.

    That is everything that would make train run again, the search space and the seed.
    """
    train = BY_NAME["train"]
    # No try starts from an earlier model.
    content = {"train": stage_key(ctx, train, {"warm_from": None}), "space": as_json(space), "seed": seed}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def winner_of(trials: Sequence[TriedEntry], where: str) -> int:
    """Return the place of the best configuration.

    It is the first (the file's) unless another is better by more than WINS_BY standard errors. Raises TrainingError if
    all failed.
    """
    whole = [number for number, trial in enumerate(trials) if trial.reason is None]
    if not whole:
        raise TrainingError(
            "No configuration could be trained",
            where=where,
            found=f"{len(trials)} tried; the first: {trials[0].reason}",
            expected="at least one whose loss stays a number and that fits into memory",
            action="Correct what the reason names, and delete the folder above: it remembers what failed.",
        )
    best = max(whole, key=lambda number: trials[number].ndcg)
    doubtful = trials[best].gain <= WINS_BY * trials[best].gain_error
    return 0 if whole[0] == 0 and doubtful else best


def _tried(ctx: Context, configurations: Sequence[Model]) -> list[Result]:
    rows = build_tried_rows(
        item_inputs(ctx.table("profiles", ITEM_PROFILES), ctx.embeddings),
        user_inputs(ctx.table("profiles", USER_PROFILES), ctx.embeddings),
        ctx.cfg,
        configurations,
        n_users=sum(ctx.fact("profiles", "segments").get(name, 0) for name in WITH_HISTORY),
        text_width=ctx.fact("embed", "width"),
        n_threads=ctx.cfg.model.threads or shared_threads(ctx.spark, len(configurations)),
        profile=gpu_profile(ctx.spark, "tune", ctx.cfg.model.device),
        own_machine=is_local(ctx.spark),
    )
    return results_of(rows.collect(), len(configurations))


def _trial(params: Params, result: Result, baseline: np.ndarray | None) -> TriedEntry:
    gain = np.zeros(2) if baseline is None or result.reason else result.per_user - baseline
    return TriedEntry(
        params=params,
        ndcg=result.ndcg,
        recall=result.recall,
        nll=result.nll,
        losses=list(result.losses),
        seconds=round(result.seconds, 2),
        gain=float(gain.mean()),
        gain_error=float(gain.std(ddof=1) / np.sqrt(len(gain))),
        reason=result.reason,
    )


def _best_so_far(trials: Sequence[TriedEntry]) -> str:
    whole = [trial.ndcg for trial in trials if trial.reason is None]
    if not whole:
        return "all failed"
    own = f" (the file's {trials[0].ndcg:.4f})" if trials[0].reason is None else ""
    return f"best held-out ndcg@{K} {max(whole):.4f}{own}"


def table_rows(tuned: Tuned) -> list[list[str]]:
    """Return a head and a row per configuration, as text, best first.

    The winner has a star. A configuration that failed has its reason in the last column.
    """
    names = list(tuned.trials[0].params)
    failures = any(trial.reason is not None for trial in tuned.trials)
    head = ["tried", f"ndcg@{K}", "to the file", f"recall@{K}", "seconds", *names, *(["failed"] if failures else [])]
    order = sorted(range(len(tuned.trials)), key=lambda n: (tuned.trials[n].reason is not None, -tuned.trials[n].ndcg))
    rows = [head]
    for number in order:
        trial = tuned.trials[number]
        name = f"{number + 1}{' (file)' if number == 0 else ''}{' *' if number == tuned.winner else ''}"
        values = [f"{trial.params[one]:.4g}" for one in names]
        if trial.reason is not None:
            rows.append([name, "", "", "", "", *values, " ".join(trial.reason.split())])
            continue
        gain = f"{trial.gain:+.4f} +- {trial.gain_error:.4f}" if number and tuned.n_users else ""
        rows.append([name, f"{trial.ndcg:.4f}", gain, f"{trial.recall:.4f}", f"{trial.seconds:.1f}", *values])
        rows[-1] += [""] if failures else []
    return rows


def verdict(tuned: Tuned, file: str | Path) -> str:
    """Return who won, in a sentence or two."""
    n, own, best = len(tuned.trials), tuned.trials[0], tuned.trials[tuned.winner]
    if own.reason is not None:
        return (
            f"The configuration of {file} could not be trained; "
            f"the best of {n - 1} others has ndcg@{K} {best.ndcg:.4f}."
        )
    if tuned.winner == 0:
        said = (
            f"Nothing that was tried is better than the configuration of {file}: "
            f"ndcg@{K} {own.ndcg:.4f} on {tuned.n_users:,} held-out users"
        )
        rivals = [trial for trial in tuned.trials[1:] if trial.reason is None]
        if not rivals:
            return f"{said}, and no other configuration was measured."
        next_one = max(rivals, key=lambda trial: trial.ndcg)
        return (
            f"{said}; the best other configuration differs by {next_one.gain:+.4f}, "
            f"with a standard error of {next_one.gain_error:.4f}."
        )
    return (
        f"Configuration {tuned.winner + 1} is better than the one in {file}: "
        f"ndcg@{K} {best.ndcg:.4f} instead of {own.ndcg:.4f} on "
        f"{tuned.n_users:,} held-out users ({best.gain:+.4f}, standard error {best.gain_error:.4f}). "
        f"It is the best of {n} on these users; expect less of the gain on others."
    )
