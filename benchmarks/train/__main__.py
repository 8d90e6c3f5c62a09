"""Training: `make bench-train` writes benchmarks/results/train.{md,json}.

`processes`: one process and two on the same cores. `full`: the whole training beside its target. `growth`: epochs of a quarter, a half
and all users. `warm`: from the model of the night before, and from scratch. `items`: steps over a million made-up items. Data come from RECSYS_DATA_DIR; the text vectors are those of
bench-quality. What is timed runs in processes of its own.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import say
from benchmarks.train.results import FULL, GROWTH, ITEMS, LEDGER, PARTS, PROCESSES, WARM, Plan, keep

# A process of its own loads this module before it is told how many threads it has; NumPy must come after that.
if TYPE_CHECKING:
    from benchmarks.quality.data import World

BEAUTY, MOVIELENS = "amazon-beauty", "ml-latest-small"
DATASETS = {PROCESSES: (BEAUTY,), FULL: (BEAUTY, MOVIELENS), GROWTH: (BEAUTY,), WARM: (BEAUTY, MOVIELENS)}
"""Where none is asked for"""
TINY = Plan(rounds=1, epochs=2, n_items=2_000)


def run_on(world: World, part: str, plan: Plan, folder: Path, cache: Path) -> None:
    """Measure a part on a data set, keep its rows and write the report."""
    from benchmarks.train.data import training_data

    say(f"==> {part}: {world.name}")
    measure = importlib.import_module(f"benchmarks.train.{part}").measure
    rows = measure(world.name, training_data(world, plan.cores, cache), plan)
    keep(folder, part, [{"dataset": world.name, **row} for row in rows])


def run_items(plan: Plan, folder: Path) -> None:
    """The part that needs no data set."""
    from benchmarks.train.items import measure

    say(f"==> {ITEMS}: {plan.n_items:,}")
    keep(folder, ITEMS, measure(plan))


def main() -> None:
    """Run the parts that were asked for."""
    from benchmarks.quality.readers import READERS, read_world
    from benchmarks.quality.texts import CACHE
    from benchmarks.quality.tiny import tiny_world

    parser = LEDGER.parser(__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of %(default)s, by default all")
    parser.add_argument(
        "--datasets",
        help=f"some of {', '.join(READERS)}; by default {', '.join(DATASETS[FULL])} for full and warm, and {BEAUTY} for processes and growth",
    )
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--epochs", type=int, default=Plan.epochs, help="of processes and growth, at least 2")
    parser.add_argument("--items", type=int, help=f"of the part {ITEMS}, by default {Plan.n_items:,}")
    arguments = parser.parse_args()
    parts, asked = arguments.parts.split(","), tuple(filter(None, (arguments.datasets or "").split(",")))
    for option, names, known in (("parts", parts, PARTS), ("datasets", asked, tuple(READERS))):
        if unknown := set(names) - set(known):
            parser.error(f"--{option}: {', '.join(sorted(unknown))} not among {', '.join(known)}")
    if arguments.epochs < 2:
        parser.error("--epochs: the first epoch is not timed, so at least 2")
    usual = TINY if arguments.tiny else Plan(rounds=arguments.rounds, epochs=arguments.epochs)
    plan = Plan(arguments.cores, usual.rounds, usual.epochs, arguments.items or usual.n_items)
    folder = LEDGER.folder_of(arguments)
    for part in parts:
        if part == ITEMS:
            run_items(plan, folder)
        elif arguments.tiny:
            run_on(tiny_world(), part, plan, folder, CACHE)
        else:
            for name in asked or DATASETS[part]:
                run_on(read_world(name), part, plan, folder, CACHE)


if __name__ == "__main__":
    main()
