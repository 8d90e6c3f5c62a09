"""An epoch over a made-up catalogue of a million items: seconds of a step, and memory by item.

Items lie around centres; a user likes one centre. Of each centre's items some are chosen often and most are not.
An item that nobody chose is not part of the softmax, so the row has the number of chosen items, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.train.plan import TrainPlan

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data
    from recsys_spark.training.kernels.run import Step

WIDTH = 384
CENTRES = 1_000
SPREAD = 0.7
"""Length of an item's own part; its centre has length 1"""
ITEMS_PER_USER, PER_USER = 10, 10
"""Items of the catalogue, and behaviours, for each user"""
NOISE = 0.2
"""Share of behaviours that are not of the user's taste"""
DAYS = 100
MAX_STEPS, WARM_UP = 200, 3
"""Steps at most; the first steps compile and are not timed"""


class Enough(Exception):
    """No more steps are needed."""


def centres_of(n_items: int) -> int:
    """Return CENTRES if items are many, else fewer.

    >>> centres_of(1_000_000), centres_of(2_000)
    (1000, 20)
    """
    return max(1, min(CENTRES, n_items // 100))


def item_vectors(n_items: int, rng: np.random.Generator) -> np.ndarray:
    """Return [n_items, WIDTH] of length 1; item j lies around centre j modulo the number of centres."""
    n_centres = centres_of(n_items)
    centres = rng.standard_normal((n_centres, WIDTH), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = rng.standard_normal((n_items, WIDTH), dtype=np.float32)
    # In place: a second array of this size would count in the peak.
    vectors *= np.float32(SPREAD / WIDTH**0.5)
    for low in range(0, n_items, n_centres):
        some = vectors[low : low + n_centres]
        some += centres[: len(some)]
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors


def chosen_items(n_users: int, n_items: int, rng: np.random.Generator) -> np.ndarray:
    """Return [n_users * PER_USER]: an item of the user's centre, or of any; a centre's k-th item is 1 / k as likely."""
    n_centres = centres_of(n_items)
    n, per_centre = n_users * PER_USER, n_items // n_centres
    taste = np.repeat(rng.integers(0, n_centres, n_users), PER_USER)
    centre = np.where(rng.random(n) < NOISE, rng.integers(0, n_centres, n), taste)
    often = np.cumsum(1.0 / np.arange(1, per_centre + 1))
    rank = np.searchsorted(often / often[-1], rng.random(n), side="right")
    items: np.ndarray = (rank * n_centres + centre).astype(np.int64)
    return items


def draw(n_items: int, seed: int = 0) -> Data:
    """Draw the training data, the same for a seed."""
    from recsys_spark.model.kernels.histories import Histories
    from recsys_spark.model.kernels.popularity import SECONDS_PER_DAY, Popularity, popularity_at
    from recsys_spark.training.kernels.data import Catalogue, Data

    rng = np.random.default_rng(seed)
    n_users, half_life_days = max(1, n_items // ITEMS_PER_USER), 30.0
    n, end = n_users * PER_USER, DAYS * SECONDS_PER_DAY
    vectors, items = item_vectors(n_items, rng), chosen_items(n_users, n_items, rng)
    times = np.sort(rng.random((n_users, PER_USER)) * end, axis=1).ravel()
    popularity: Popularity = popularity_at(end, items, times, np.ones(n), n_items, half_life_days)
    catalogue = Catalogue(ids_of("i", n_items), vectors, np.ones(n_items, bool), popularity)
    histories = Histories(
        offsets=np.arange(n_users + 1) * PER_USER,
        user_ids=ids_of("u", n_users),
        items=items,
        behaviours=np.zeros(n, np.int64),
        times=times,
        weights=np.ones(n, np.float32),
        social_offsets=np.zeros(n_users + 1, np.int64),
        social_items=np.empty(0, np.int64),
        social_weights=np.empty(0, np.float32),
        texts=np.zeros((n_users, WIDTH), np.float32),
        has_text=np.zeros(n_users, bool),
    )
    return Data(catalogue, histories, ["view"], [1.0], 0.0, half_life_days, max_history=50)


def ids_of(letter: str, n: int) -> np.ndarray:
    """Return ids [n] in ascending order.

    >>> ids_of("i", 2).tolist()
    ['i00000000', 'i00000001']
    """
    ids: np.ndarray = np.char.mod(f"{letter}%08d", np.arange(n)).astype(object)
    return ids


class Clock:
    """The moments, CPU-seconds and losses of the steps of a run, which it ends after MAX_STEPS."""

    def __init__(self, n_items: int) -> None:
        self.n_items, self.of_steps = n_items, 0
        self.moments, self.cpu, self.losses = [time.perf_counter()], [time.process_time()], list[float]()

    def after(self, step: Step) -> None:
        """Keep a step. Raises Enough at the last one."""
        self.of_steps = step.of
        self.moments.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.losses.append(step.loss)
        if step.done % 20 == 0:
            spent = self.moments[-1] - self.moments[0]
            say(f"{self.n_items:,} items: step {step.done} of {step.of}: loss {step.loss:.3f}, {spent:.0f} s")
        if step.done >= MAX_STEPS:
            raise Enough

    def facts(self) -> Row:
        """Return the medians of a step, the compiling ones left out, and the first and the last loss."""
        steps, cpu = np.diff(self.moments), np.diff(self.cpu)
        warm_up = WARM_UP if len(steps) > WARM_UP else 0
        return {
            "steps": len(steps),
            "of_steps": self.of_steps,
            "seconds_per_step": median(steps[warm_up:]),
            "cpu_seconds_per_step": median(cpu[warm_up:]),
            "first_loss": self.losses[0],
            "last_loss": self.losses[-1],
        }


def train(n_items: int, threads: int) -> Row:
    """Do in this process what `fit` does without a trial, stop after MAX_STEPS, and return the row."""
    from recsys_spark.worker.threads import limit_threads

    limit_threads(threads)
    from benchmarks.common.memory import peak, resident
    from recsys_spark.config.model import Model
    from recsys_spark.model.kernels.choices import Choices
    from recsys_spark.training.kernels.run import Run

    loaded = resident()
    data = draw(n_items)
    drawn, started = resident(), time.perf_counter()
    say(f"{n_items:,} items: {drawn / 1e9:.2f} GB before training")
    run = Run(data, Model(epochs=1, trial_epochs=0), seed=0)
    prepared = time.perf_counter() - started
    say(f"{n_items:,} items: prepared in {prepared:.0f} s, {len(run.warm):,} were chosen, {peak() / 1e9:.2f} GB")
    clock = Clock(n_items)
    try:
        for _ in run.epochs(1, on_step=clock.after):
            pass
    except Enough:
        say(f"{n_items:,} items: stopped after {MAX_STEPS} of {clock.of_steps} steps")
    run.artifact(Choices())
    return {
        "items": n_items,
        "warm_items": len(run.warm),
        "linked_items": len(run.links.diagonal.nonzero()[0]),
        "sampled": run.objective.sampled,
        "users": data.histories.n_users,
        "behaviours": len(data.histories.items),
        "threads": threads,
        "prepared_seconds": prepared,
        **clock.facts(),
        "loaded_bytes": loaded,
        "drawn_bytes": drawn,
        "peak_bytes": peak(),
        "bytes_per_item": (peak() - loaded) / n_items,
    }


def measure(plan: TrainPlan) -> Iterator[list[Row]]:
    """One row."""
    with own_process(plan.cores) as process:
        row = run_in(process, train, plan.n_items, plan.cores)
    say(
        f"{plan.n_items:,} items: {row['seconds_per_step']:.3f} s a step, at most {row['peak_bytes'] / 1e9:.2f} GB, "
        f"{row['bytes_per_item']:,.0f} bytes per item"
    )
    yield [{"dataset": f"{plan.n_items:,} made-up items", **row}]


def note(mine: list[Row]) -> str:
    """Return what the rows are, with the size of the links."""
    links = max(row["linked_items"] for row in mine)
    return (
        "Made-up items around centres in text space, ten behaviours for every ten items. One epoch without a trial, "
        "or the first steps of it. Bytes per item are the peak without what the libraries take; links, "
        f"which do not grow with the catalogue, are {4 * links**2 / 1e9:.1f} GB of it where {links:,} items have some."
    )


PART = Part(
    "items",
    "steps over a million made-up items",
    measure,
    Section(
        "A catalogue of many items",
        {
            "items": shown("items", ","),
            "chosen": shown("warm_items", ","),
            "behaviours": shown("behaviours", ","),
            "softmax": lambda row: "sampled" if row["sampled"] else "whole",
            "threads": shown("threads"),
            "seconds before the first step": shown("prepared_seconds", ".0f"),
            "seconds a step": shown("seconds_per_step", ".3f"),
            "CPU-seconds a step": shown("cpu_seconds_per_step", ".3f"),
            "steps": lambda row: f"{row['steps']:,} of {row['of_steps']:,}",
            "GB of data": lambda row: f"{(row['drawn_bytes'] - row['loaded_bytes']) / 1e9:.2f}",
            "peak GB": shown("peak_bytes", ".2f", 1e9),
            "bytes per item": shown("bytes_per_item", ",.0f"),
        },
        note,
    ),
)
