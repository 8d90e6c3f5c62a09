"""Our lists next to the best rivals': `make bench-quality` writes benchmarks/results/quality.*, and charts.

Every method is tuned, fitted and evaluated on every protocol of every data set:

- data sets: readers.py
- protocols: split.py
- methods: baselines.py, factors.py, sequences.py and ours.py
- figures: recall and ndcg by segment, with intervals, and paired differences (metrics.py)
- calibration: whether P is a probability; calibration.png
- curves: the losses of our training, and what its trial chose; curves.png

Data sets come from RECSYS_DATA_DIR; the model in RECSYS_E5_DIR reads MOOCCubeX's Chinese if that is set. Rows are
written after each method, so a run that is cut short loses one method at most. Two runs must not write one folder at
once.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.common.suite import check_known, command_line, folder_of, names, say
from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.ours import OURS
from benchmarks.quality.readers import READERS, read_world, sizes
from benchmarks.quality.report import NAME, write_stored
from benchmarks.quality.rows import is_ours
from benchmarks.quality.run import Run, method_of, run_methods
from benchmarks.quality.split import PROTOCOLS
from benchmarks.quality.tiny import TINY
from recsys_spark.worker.threads import limit_threads


def main() -> None:
    """Run what was asked for."""
    parser = command_line(NAME, str(__doc__))
    methods = [*BASELINES, OURS]
    parser.add_argument("--datasets", type=names, default=[], help=f"some of {', '.join(READERS)}")
    parser.add_argument(
        "--methods",
        type=names,
        default=methods,
        help=f"some of {', '.join(methods)}, or {OURS}:KEY=VALUE;KEY=VALUE for a change of ours",
    )
    parser.add_argument("--protocols", type=names, default=list(PROTOCOLS), help=f"some of {', '.join(PROTOCOLS)}")
    arguments = parser.parse_args()
    datasets = arguments.datasets or ([TINY] if arguments.tiny else list(READERS))
    check(parser, arguments, datasets)
    folder = folder_of(NAME, arguments)
    if arguments.report:
        write_stored(folder)
        return
    # Before the libraries of the methods are loaded.
    limit_threads(arguments.cores)
    failed = []
    for name in datasets:
        world = read_world(name)
        say(next(sizes([world])))
        failed += run_methods(world, arguments.methods, arguments.protocols, Run(arguments.cores, folder))
    for line in failed:
        say(f"failed: {line}")
    sys.exit(1 if failed else 0)


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace, datasets: list[str]) -> None:
    """Refuse what nobody knows before anything is read."""
    check_known(parser, "datasets", datasets, [*READERS, *([TINY] if arguments.tiny else [])])
    check_known(parser, "protocols", arguments.protocols, PROTOCOLS)
    check_known(parser, "methods", [name for name in arguments.methods if not is_ours(name)], BASELINES)
    try:
        for name in arguments.methods:
            method_of(name)
    except ValueError as error:
        parser.error(f"--methods: {error}")


if __name__ == "__main__":
    main()
