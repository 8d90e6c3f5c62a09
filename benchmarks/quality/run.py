"""Every method on every protocol of a data set: tuned, fitted, evaluated, and its rows kept."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.common.costs import tree_cpu
from benchmarks.common.ledger import Row
from benchmarks.common.suite import say
from benchmarks.quality.baselines import BASELINES, TEXT_NEIGHBOURS
from benchmarks.quality.calibration import CATALOGUE, calibration_rows
from benchmarks.quality.curves import curve_rows
from benchmarks.quality.data import World
from benchmarks.quality.methods import Method, Texts, Train, served, tune
from benchmarks.quality.metrics import evaluate
from benchmarks.quality.ours import ours
from benchmarks.quality.report import keep
from benchmarks.quality.rows import figure_rows, is_ours, main_segment, store_values
from benchmarks.quality.split import PROTOCOLS, TEST, Split, protocols_of
from benchmarks.quality.texts import CACHE, texts_of


def method_of(name: str) -> Method:
    """Return a baseline, or ours with changed settings, by its name. Raises KeyError or ValueError if unknown."""
    return ours(name) if is_ours(name) else BASELINES[name]


@dataclass(frozen=True)
class Run:
    """What all methods of a run share: threads, the folder of the results, and the folder of the cache."""

    n_threads: int
    folder: Path
    cache: Path = CACHE


def measure(
    method: Method, split: Split, texts: Callable[[], Texts], run: Run, last_made: dict[str, Any] | None = None
) -> None:
    """Tune on the validation slice, fit on train, evaluate on the test, and keep the rows."""
    ids = split.train.users
    if is_ours(method.name) or method.name == TEXT_NEIGHBOURS:
        # Encoding is done once for all methods, so it is not part of tuning or of a fit.
        texts()
    started = time.perf_counter()
    tuned = tune(method, split, texts, run.n_threads)
    tune_s = time.perf_counter() - started
    train = Train(split.train, texts, run.n_threads, {} if last_made is None else last_made)
    wall, cpu = time.perf_counter(), cpu_seconds()
    fitted = method.fit(train, tuned.settings)
    fit_s, fit_cpu_s = time.perf_counter() - wall, cpu_seconds() - cpu
    wall = time.perf_counter()
    values = evaluate(served(fitted, split.train), split)
    facts: Row = {"protocol": split.protocol, "method": method.name, "label": split.label}
    facts |= {"settings": dict(tuned.settings), "tried": [[dict(some), ndcg] for some, ndcg in tuned.tried]}
    facts |= {"threads": run.n_threads, "tune_s": tune_s, "fit_s": fit_s, "fit_cpu_s": fit_cpu_s}
    facts |= {"evaluate_s": time.perf_counter() - wall}
    rows = figure_rows(values, ids, **facts)
    calibration = calibration_rows(fitted, split, **facts)
    store_values(split.label, method.name, values, run.cache)
    kept = [*rows, *calibration, *curve_rows(fitted, **facts)]
    keep(run.folder, split.train.name, split.protocol, kept, ids, run.cache)
    tell(split.train.name, rows, calibration)


def tell(dataset: str, rows: Sequence[Row], calibration: Sequence[Row]) -> None:
    """Print what was found of one method."""
    main = next(row for row in rows if row["segment"] == main_segment(rows))
    say(
        f"{dataset}, {main['protocol']}, {main['method']}: recall {main['recall']:.4f} ndcg {main['ndcg']:.4f} "
        f"({main['ndcg_low']:.4f} to {main['ndcg_high']:.4f}), {main['segment']}; "
        f"tuning {main['tune_s']:.0f} s, fit {main['fit_s']:.1f} s, {main['settings']}"
    )
    for row in calibration:
        if row["items"] == CATALOGUE:
            say(f"  {row['event']}: ECE {row['ece']:.4f}, {row['ece_chance']:.4f} by chance; {row['n_users']:,} users")


def cpu_seconds() -> float:
    """Return the CPU-seconds of this process and of the JVM that MLlib's ALS starts; without psutil of this alone."""
    return tree_cpu() if find_spec("psutil") else time.process_time()


def run_methods(world: World, methods: Sequence[str], protocols: Sequence[str], run: Run) -> list[str]:
    """Run every method on every protocol that these data have; return what failed, in words."""
    failed = []
    for protocol in [name for name in protocols_of(world) if name in protocols]:
        split = PROTOCOLS[protocol](world, TEST)
        texts = texts_of(split.train, run.n_threads, run.cache)
        last_made: dict[str, Any] = {}
        n_rows, n_truth = len(split.train.rows), len(split.truth_user)
        say(f"==> {world.name}, {protocol}: {n_rows:,} rows to train on, truth {n_truth:,}")
        for method in map(method_of, methods):
            if not method.applies(world) or (protocol == "users" and not method.serves_cold_users):
                continue
            try:
                measure(method, split, texts, run, last_made)
            except Exception as error:
                # The methods after it are worth having.
                traceback.print_exc()
                failed.append(f"{world.name}, {protocol}, {method.name}: {type(error).__name__}: {error}")
    return failed
