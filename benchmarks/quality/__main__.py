"""Our lists beside the best rivals', outside Spark: `make bench-quality` writes benchmarks/results/quality.{md,json,png}, calibration.png and curves.png.

Data sets come from RECSYS_DATA_DIR; MOOCCubeX's Chinese is read by the model in RECSYS_E5_DIR where that is set. Rows are
written after each method, so a run that is cut short loses one method at most; two runs must not write one folder at once.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.common.ledger import say
from benchmarks.common.measure import tree_cpu
from benchmarks.encode.__main__ import comma_separated
from benchmarks.quality.baselines import BASELINES, TEXT_NEIGHBOURS
from benchmarks.quality.calibration import CATALOGUE, calibration_rows
from benchmarks.quality.curves import curve_rows
from benchmarks.quality.data import World
from benchmarks.quality.methods import Method, Texts, Train, served, tune
from benchmarks.quality.metrics import evaluate
from benchmarks.quality.ours import OURS, ours
from benchmarks.quality.readers import READERS, read_world, sizes
from benchmarks.quality.results import LEDGER, figure_rows, is_ours, keep, main_segment, store_values
from benchmarks.quality.split import PROTOCOLS, TEST, Split, protocols_of
from benchmarks.quality.texts import CACHE, texts_of
from benchmarks.quality.tiny import tiny_world
from recsys_spark.worker.process import limit_threads

TINY = "tiny"


def method_of(name: str) -> Method:
    """A baseline by its name, or ours with changed settings; raises KeyError or ValueError where nobody knows it."""
    return ours(name) if is_ours(name) else BASELINES[name]


def measure(
    method: Method,
    split: Split,
    texts: Callable[[], Texts],
    n_threads: int,
    folder: Path,
    cache: Path,
    last_made: dict[str, Any] | None = None,
) -> None:
    """Tune on the validation slice, fit on train, evaluate on the test, and keep the rows."""
    ids = split.train.users
    if is_ours(method.name) or method.name == TEXT_NEIGHBOURS:
        # Encoding is done once for all methods and is no part of tuning or of a fit.
        texts()
    started = time.perf_counter()
    tuned = tune(method, split, texts, n_threads)
    train, tune_s = (
        Train(split.train, texts, n_threads, {} if last_made is None else last_made),
        time.perf_counter() - started,
    )
    wall, cpu = time.perf_counter(), cpu_seconds()
    fitted = method.fit(train, tuned.settings)
    fit_s, fit_cpu_s = time.perf_counter() - wall, cpu_seconds() - cpu
    wall = time.perf_counter()
    values = evaluate(served(fitted, split.train), split)
    facts = {
        "protocol": split.protocol, "method": method.name, "label": split.label, "settings": dict(tuned.settings),
        "tried": [[dict(settings), ndcg] for settings, ndcg in tuned.tried], "threads": n_threads,
        "tune_s": tune_s, "fit_s": fit_s, "fit_cpu_s": fit_cpu_s, "evaluate_s": time.perf_counter() - wall,
    }  # fmt: skip
    rows = figure_rows(values, ids, **facts)
    calibration = calibration_rows(fitted, split, **facts)
    store_values(split.label, method.name, values, cache)
    kept = [*rows, *calibration, *curve_rows(fitted, **facts)]
    keep(folder, split.train.name, split.protocol, kept, ids, cache)
    main = next(row for row in rows if row["segment"] == main_segment(rows))
    say(
        f"{split.train.name}, {split.protocol}, {method.name}: recall {main['recall']:.4f} ndcg {main['ndcg']:.4f} "
        f"({main['ndcg_low']:.4f} to {main['ndcg_high']:.4f}), {main['segment']}; "
        f"tuning {tune_s:.0f} s, fit {fit_s:.1f} s, {facts['settings']}"
    )
    for row in calibration:
        if row["items"] == CATALOGUE:
            say(f"  {row['event']}: ECE {row['ece']:.4f}, {row['ece_chance']:.4f} by chance; {row['n_users']:,} users")


def cpu_seconds() -> float:
    """Of this process and of the JVM that MLlib's ALS starts below it; of this one alone without psutil, which `bench` brings."""
    return tree_cpu() if find_spec("psutil") else time.process_time()


def run(world: World, methods: list[str], protocols: list[str], n_threads: int, folder: Path, cache: Path) -> list[str]:
    """Every method on every protocol that these data have; what failed, in words."""
    failed = []
    for protocol in [name for name in protocols_of(world) if name in protocols]:
        split = PROTOCOLS[protocol](world, TEST)
        texts = texts_of(split.train, n_threads, cache)
        last_made: dict[str, Any] = {}
        say(
            f"==> {world.name}, {protocol}: {len(split.train.rows):,} rows to train on, truth {len(split.truth_user):,}"
        )
        for method in map(method_of, methods):
            if not method.applies(world) or (protocol == "users" and not method.serves_cold_users):
                continue
            try:
                measure(method, split, texts, n_threads, folder, cache, last_made)
            except Exception as error:
                # The methods after it are worth having.
                traceback.print_exc()
                failed.append(f"{world.name}, {protocol}, {method.name}: {type(error).__name__}: {error}")
    return failed


def main() -> None:
    """Run what was asked for."""
    parser = LEDGER.parser(__doc__)
    everything = [*BASELINES, OURS]
    parser.add_argument("--datasets", type=comma_separated, default=[], help=f"some of {', '.join(READERS)}")
    parser.add_argument(
        "--methods", type=comma_separated, default=everything,
        help=f"some of {', '.join(everything)}, or {OURS}:KEY=VALUE;KEY=VALUE for a change of ours",
    )  # fmt: skip
    parser.add_argument(
        "--protocols", type=comma_separated, default=list(PROTOCOLS), help=f"some of {', '.join(PROTOCOLS)}"
    )
    arguments = parser.parse_args()
    names = arguments.datasets or ([TINY] if arguments.tiny else list(READERS))
    check(parser, arguments, names)
    # Before the libraries of the methods are loaded.
    limit_threads(arguments.cores)
    failed = []
    for name in names:
        world = tiny_world() if name == TINY else read_world(name)
        say(next(sizes([world])))
        failed += run(
            world, arguments.methods, arguments.protocols, arguments.cores, LEDGER.folder_of(arguments), CACHE
        )
    for line in failed:
        say(f"failed: {line}")
    sys.exit(1 if failed else 0)


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace, names: list[str]) -> None:
    """Refuse what nobody knows before anything is read."""
    for option, asked, known in (
        ("datasets", names, [*READERS, *([TINY] if arguments.tiny else [])]),
        ("protocols", arguments.protocols, [*PROTOCOLS]),
        ("methods", [name for name in arguments.methods if not is_ours(name)], [*BASELINES]),
    ):
        if unknown := set(asked) - set(known):
            parser.error(f"--{option}: {', '.join(sorted(unknown))} not among {', '.join(known)}")
    try:
        for name in arguments.methods:
            method_of(name)
    except ValueError as error:
        parser.error(f"--methods: {error}")


if __name__ == "__main__":
    main()
