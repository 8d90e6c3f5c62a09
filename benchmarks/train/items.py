"""An epoch over a made-up catalogue of a million items: seconds of a step, and memory by item.

Items lie around centres, of each of which some are chosen often and most are not; a user likes one centre. An item that nobody
chose is no part of the softmax, so the number of items that somebody did is kept beside the size of the catalogue.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common.ledger import Row, say
from benchmarks.common.processes import own_process, run_in
from benchmarks.train.results import Plan

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data
    from recsys_spark.training.kernels.run import Step

WIDTH = 384
CENTRES = 1_000
SPREAD = 0.7
"""Length of what an item has of its own, where its centre is of length 1"""
ITEMS_PER_USER, PER_USER = 10, 10
"""Items of the catalogue, and behaviours, for each user"""
NOISE = 0.2
"""Share of behaviours that are not of the user's taste"""
DAYS = 100
MAX_STEPS, WARM_UP = 200, 3
"""Steps that are made at most; the first compile and are not timed"""


class Enough(Exception):
    """No more steps are needed."""


def centres_of(n_items: int) -> int:
    """As many as CENTRES where items are many.

    >>> centres_of(1_000_000), centres_of(2_000)
    (1000, 20)
    """
    return max(1, min(CENTRES, n_items // 100))


def item_vectors(n_items: int, rng: np.random.Generator) -> np.ndarray:
    """[n_items, WIDTH] of length 1; item j lies around centre j modulo the number of centres."""
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
    """[n_users * PER_USER] an item of the user's centre, or of any; the k-th of a centre 1 / k as often as the first."""
    n_centres = centres_of(n_items)
    n, per_centre = n_users * PER_USER, n_items // n_centres
    taste = np.repeat(rng.integers(0, n_centres, n_users), PER_USER)
    centre = np.where(rng.random(n) < NOISE, rng.integers(0, n_centres, n), taste)
    often = np.cumsum(1.0 / np.arange(1, per_centre + 1))
    rank = np.searchsorted(often / often[-1], rng.random(n), side="right")
    items: np.ndarray = (rank * n_centres + centre).astype(np.int64)
    return items


def draw(n_items: int, seed: int = 0) -> Data:
    """The same for a seed."""
    from recsys_spark.model.kernels.histories import Histories
    from recsys_spark.model.kernels.popularity import SECONDS_PER_DAY, Popularity, popularity_at
    from recsys_spark.training.kernels.data import Data
    from recsys_spark.training.kernels.objective import Catalogue

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
    """[n] in ascending order.

    >>> ids_of("i", 2).tolist()
    ['i00000000', 'i00000001']
    """
    ids: np.ndarray = np.char.mod(f"{letter}%08d", np.arange(n)).astype(object)
    return ids


def train(n_items: int, threads: int) -> Row:
    """In a process of its own: what `fit` does without a trial, stopped after MAX_STEPS."""
    from recsys_spark.worker.process import limit_threads

    limit_threads(threads)
    from benchmarks.train.memory import peak, resident
    from recsys_spark.config.sections import Model
    from recsys_spark.training.kernels.choices import Choices
    from recsys_spark.training.kernels.run import Run

    loaded = resident()
    data = draw(n_items)
    drawn, started = resident(), time.perf_counter()
    say(f"{n_items:,} items: {drawn / 1e9:.2f} GB before training")
    run = Run(data, Model(epochs=1, trial_epochs=0), seed=0)
    prepared = time.perf_counter() - started
    say(f"{n_items:,} items: prepared in {prepared:.0f} s, {len(run.warm):,} were chosen, {peak() / 1e9:.2f} GB")
    moments, cpu, losses, of = [time.perf_counter()], [time.process_time()], [], 0

    def after(step: Step) -> None:
        nonlocal of
        of = step.of
        moments.append(time.perf_counter())
        cpu.append(time.process_time())
        losses.append(step.loss)
        if step.done % 20 == 0:
            say(f"{n_items:,} items: step {step.done} of {of}: loss {step.loss:.3f}, {moments[-1] - moments[0]:.0f} s")
        if step.done >= MAX_STEPS:
            raise Enough

    try:
        for _ in run.epochs(1, on_step=after):
            pass
    except Enough:
        say(f"{n_items:,} items: stopped after {MAX_STEPS} of {of} steps")
    run.artifact({}, Choices())
    steps, cpu_of_steps = np.diff(moments), np.diff(cpu)
    warm_up = WARM_UP if len(steps) > WARM_UP else 0
    return {
        "items": n_items,
        "warm_items": len(run.warm),
        "linked_items": len(run.links.diagonal.nonzero()[0]),
        "sampled": run.objective.sampled,
        "users": data.histories.n_users,
        "behaviours": len(data.histories.items),
        "threads": threads,
        "prepared_seconds": prepared,
        "steps": len(steps),
        "of_steps": of,
        "seconds_per_step": median(steps[warm_up:]),
        "cpu_seconds_per_step": median(cpu_of_steps[warm_up:]),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "loaded_bytes": loaded,
        "drawn_bytes": drawn,
        "peak_bytes": peak(),
        "bytes_per_item": (peak() - loaded) / n_items,
    }


def measure(plan: Plan) -> list[Row]:
    """One row."""
    with own_process(plan.cores) as process:
        row = run_in(process, train, plan.n_items, plan.cores)
    say(
        f"{plan.n_items:,} items: {row['seconds_per_step']:.3f} s a step, at most {row['peak_bytes'] / 1e9:.2f} GB, "
        f"{row['bytes_per_item']:,.0f} bytes per item"
    )
    return [{"dataset": f"{plan.n_items:,} made-up items", **row}]
