"""Training in one process and in several on the same cores: `make bench-train` writes benchmarks/results/train.{md,json}.

Rounds alternate between the cases, each in fresh processes; a figure is the median. Time is that of the epochs alone: what comes before them
(links, popularity) is done once. Data come from RECSYS_DATA_DIR; the text vectors are those of bench-quality.
"""

from __future__ import annotations

import multiprocessing
import pickle
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ledger import Ledger, Row, say, table
from benchmarks.quality_data import World
from benchmarks.quality_ours import data_of
from benchmarks.quality_readers import READERS, read_world
from benchmarks.quality_split import PROTOCOLS, TEST, protocols_of
from benchmarks.quality_texts import CACHE, texts_of
from benchmarks.quality_tiny import tiny_world

LEDGER = Ledger("train", (*READERS, "tiny"))
CASES = ((1, 1), (1, 2), (2, 1))
"""Processes, threads of each"""


def train(rank: int, processes: int, threads: int, address: str, file: Path, epochs: int, results: Any) -> None:
    """One process of a case."""
    from recsys_spark.workers import limit_threads

    limit_threads(threads)
    from contextlib import nullcontext

    import numpy as np

    from recsys_spark.config import Model
    from recsys_spark.kernels.process_group import ALONE, joined
    from recsys_spark.kernels.training import fit

    data = pickle.loads(file.read_bytes())
    data = replace(data, histories=data.histories.take(np.arange(data.histories.n_users)[rank::processes]))
    with joined(address, rank, processes) if processes > 1 else nullcontext(ALONE) as group:
        model = fit(data, Model(epochs=epochs, trial_epochs=0), seed=0, group=group)
    if rank == 0:
        # The first epoch compiles.
        losses = model.facts["losses"]
        results.put((sum(entry["seconds"] for entry in losses[1:]) / (epochs - 1), losses[-1]["loss"]))


def run_case(processes: int, threads: int, file: Path, epochs: int) -> tuple[float, float]:
    """Seconds of an epoch, and the loss of the last."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    running = [
        spawn.Process(target=train, args=(rank, processes, threads, address, file, epochs, results))
        for rank in range(processes)
    ]
    for process in running:
        process.start()
    found: tuple[float, float] = results.get(timeout=3600)
    for process in running:
        process.join()
    return found


def report(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["# Training in several processes", "", f"Measured on {LEDGER.measured_on(rows)}.", ""]
    lines += table(
        [
            "data",
            "processes",
            "threads of each",
            "seconds an epoch",
            "times one process of one thread",
            "last loss",
            "rounds",
        ],
        [
            [
                r["part"],
                r["processes"],
                r["threads"],
                f"{r['seconds']:.1f}",
                f"{r['speed']:.2f}",
                f"{r['loss']:.3f}",
                r["rounds"],
            ]
            for r in rows
        ],
    )
    return "\n".join(lines)


def run(world: World, rounds: int, epochs: int, target: Path, cache: Path) -> None:
    """Measure and write."""
    name = world.name
    split = PROTOCOLS[protocols_of(world)[0]](world, TEST)
    data, _ = data_of(split.train, texts_of(split.train, 1, cache)())
    seconds: dict[tuple[int, int], list[float]] = {case: [] for case in CASES}
    losses: dict[tuple[int, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.pickle"
        file.write_bytes(pickle.dumps(data))
        for _ in range(rounds):
            for case in CASES:
                spent, losses[case] = run_case(*case, file, epochs)
                seconds[case].append(spent)
                say(f"{name}: {case[0]} x {case[1]} threads: {spent:.1f} s an epoch")
    alone = median(seconds[CASES[0]])
    rows = [
        {
            "processes": case[0], "threads": case[1], "seconds": median(spent), "speed": alone / median(spent),
            "loss": losses[case], "rounds": len(spent),
        }
        for case, spent in seconds.items()
    ]  # fmt: skip
    (target / "train.md").write_text(report(LEDGER.save(target, name, rows)))


def main() -> None:
    """Run what was asked for."""
    parser = LEDGER.parser(__doc__)
    parser.add_argument("--dataset", default="amazon-beauty", help=f"one of {', '.join(READERS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    world = tiny_world() if arguments.tiny else read_world(arguments.dataset)
    run(world, 1 if arguments.tiny else arguments.rounds, arguments.epochs, LEDGER.folder_of(arguments), CACHE)


if __name__ == "__main__":
    main()
