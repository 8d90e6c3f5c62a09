"""The sample for comparing encoders: texts, users with a held-out item, and a catalogue, drawn by hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.encoder_choice.inputs import Inputs
from recsys_spark.encoder_choice.measurement import TextSample
from recsys_spark.encoder_choice.probe import Probe
from recsys_spark.errors import DataError
from recsys_spark.evaluation.backtest import build_held_out
from recsys_spark.numerics.arrays import U64
from recsys_spark.profiles.users import recent_behaviours
from recsys_spark.profiles.weights import MICROS_PER_DAY

HISTORY_ITEMS = 10
"""A user is asked about only if this number of the newest items of the history is in the catalogue."""


@dataclass(frozen=True)
class Sample:
    """The input of every candidate."""

    texts: TextSample
    probe: Probe
    user_hashes: U64
    """[n_users] determines the bootstrap weights"""
    n_items_with_text: int
    """In the whole catalogue."""
    origin: str
    remedy: str
    """How to get more users, as a sentence."""


def draw_sample(inputs: Inputs, cfg: Config, *, as_of: datetime, n_texts: int, n_users: int, n_items: int) -> Sample:
    """Draw by hash, so that the same data and `run.seed` give the same sample.

    Users have at least two items with text. The target is the item of `leave_out` (evaluation.backtest.build_held_out).
    Where more than ``n_items`` items have text, the catalogue contains the targets and newest histories of as many
    users as fit, then other items. Raises DataError where no item has text.
    """
    seed = F.lit(cfg.run.seed)
    with_text = inputs.item_profiles.where(F.col("text").isNotNull())
    n_with_text = with_text.count()
    if not n_with_text:
        raise DataError(
            "No item has a text to encode",
            where="sources.items",
            found="0 items with a text",
            expected="at least one",
            action="Map title, description, category, tags or attributes, "
            "or name a mapped column in profiles.item_template.",
        )
    known = inputs.interactions.join(with_text.select("item_id"), "item_id", "left_semi")
    users = _held_out(known, cfg, n_users)
    histories, seen = _histories(known, users, cfg, as_of=as_of)
    drawn = with_text.orderBy(F.xxhash64("item_id", seed), "item_id").limit(n_items).collect()
    text_of = {row.item_id: row.text for row in drawn}
    asked = [row for row in users if row.user_id in histories]
    remedy = "Ask for more --users." if len(users) == n_users else "No more users have two items with text."
    if n_with_text > n_items:
        n_known = len(asked)
        asked, ids = _that_fit(asked, histories, list(text_of), n_items)
        remedy = "Ask for more --items, which make room for more users." if len(asked) < n_known else remedy
        missing = inputs.interactions.sparkSession.createDataFrame(
            [(i,) for i in ids - text_of.keys()], "item_id string"
        )
        fetched = {row.item_id: row.text for row in with_text.join(F.broadcast(missing), "item_id").collect()}
        text_of = {item_id: text for item_id, text in (text_of | fetched).items() if item_id in ids}
    catalogue, texts = sorted(text_of), sorted(set(text_of.values()))
    place = {text: number for number, text in enumerate(texts)}
    sides = [_texts(profiles, seed, n_texts) for profiles in (inputs.item_profiles, inputs.user_profiles)]
    chosen = sorted((row.order, row.text, side) for side, rows in enumerate(sides) for row in rows)[:n_texts]
    for_items, for_users = ([text for _, text, of in chosen if of == side] for side in (0, 1))
    return Sample(
        TextSample(for_items, for_users, texts),
        _probe(catalogue, [place[text_of[item]] for item in catalogue], asked, histories, seen),
        np.array([row.user_hash for row in asked], np.int64).view(np.uint64),
        n_with_text,
        inputs.origin,
        remedy,
    )


def _texts(profiles: DataFrame, seed: Column, n: int) -> list[Row]:
    """Return order, text: the distinct texts with the smallest hashes."""
    order = F.xxhash64("text", seed).alias("order")
    return (
        profiles.where(F.col("text").isNotNull()).select(order, "text").distinct().orderBy("order").limit(n).collect()
    )


def _held_out(known: DataFrame, cfg: Config, n_users: int) -> list[Row]:
    """Return user_id, item_id (the target), user_hash: the users with the smallest hashes, in that order."""
    user_hash = F.xxhash64("user_id", F.lit(cfg.run.seed)).alias("user_hash")
    pairs = build_held_out(known, cfg).select("user_id", "item_id", user_hash)
    return pairs.orderBy("user_hash", "user_id").limit(n_users).collect()


def _histories(
    known: DataFrame, users: Sequence[Row], cfg: Config, *, as_of: datetime
) -> tuple[dict[str, list[tuple[str, float]]], dict[str, set[str]]]:
    """Return by user (item_id, weight) of the history, newest first, and all items seen, both without the target.

    Users without a history are left out.
    """
    chosen = known.sparkSession.createDataFrame(
        [(u.user_id, u.item_id) for u in users], "user_id string, target string"
    )
    theirs = known.join(F.broadcast(chosen), "user_id").where("item_id != target").drop("target").persist()
    recent = recent_behaviours(theirs, cfg, as_of=as_of).orderBy("user_id", "position")
    rows = recent.select("user_id", "item_id", "undecayed", F.unix_micros("ts").alias("micros")).collect()
    seen: dict[str, set[str]] = {}
    for row in theirs.select("user_id", "item_id").distinct().collect():
        seen.setdefault(row.user_id, set()).add(row.item_id)
    theirs.unpersist()
    histories: dict[str, list[tuple[str, float]]] = {}
    newest: dict[str, int] = {}
    half_life = (cfg.behaviours.half_life_days or np.inf) * MICROS_PER_DAY
    for row in rows:
        # The age counts from the user's newest item: on data that ended long before as_of weights would be 0.
        age = newest.setdefault(row.user_id, row.micros) - row.micros
        histories.setdefault(row.user_id, []).append((row.item_id, row.undecayed * 2.0 ** (-age / half_life)))
    return histories, seen


def _that_fit(
    users: Sequence[Row], histories: dict[str, list[tuple[str, float]]], others: Sequence[str], n_items: int
) -> tuple[list[Row], set[str]]:
    """Return the first users whose target and newest HISTORY_ITEMS fit into ``n_items``, and the catalogue.

    The catalogue is filled up with ``others``.
    """
    asked: list[Row] = []
    catalogue: set[str] = set()
    for user in users:
        theirs = {user.item_id, *(item_id for item_id, _ in histories[user.user_id][:HISTORY_ITEMS])}
        if len(catalogue | theirs) > n_items:
            break
        catalogue |= theirs
        asked.append(user)
    for item_id in others:
        if len(catalogue) >= n_items:
            break
        catalogue.add(item_id)
    return asked, catalogue


def _probe(
    catalogue: Sequence[str],
    text_of_item: Sequence[int],
    users: Sequence[Row],
    histories: dict[str, list[tuple[str, float]]],
    seen: dict[str, set[str]],
) -> Probe:
    """Return the probe in positions of the sorted ``catalogue``; items outside it are left out."""
    position = {item_id: number for number, item_id in enumerate(catalogue)}
    past = [[(position[i], w) for i, w in histories[user.user_id] if i in position] for user in users]
    known = [sorted(position[i] for i in seen[user.user_id] if i in position) for user in users]
    return Probe(
        text_of_item=np.array(text_of_item, np.int64),
        targets=np.array([position[user.item_id] for user in users], np.int64),
        history_offsets=np.cumsum([0, *map(len, past)], dtype=np.int64),
        history_items=np.array([item for items in past for item, _ in items], np.int64),
        history_weights=np.array([weight for items in past for _, weight in items], np.float64),
        seen_offsets=np.cumsum([0, *map(len, known)], dtype=np.int64),
        seen_items=np.array(list(chain.from_iterable(known)), np.int64),
    )
