"""Histories, social items and popularity as the profile stages make them, for the model without Spark.

Each function names the stage function it repeats; tests of the benchmark compare the rules with hand-made cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from benchmarks.quality.data import World
from benchmarks.quality.methods import Texts
from recsys_spark.model.kernels.histories import INPUT_COLUMNS
from recsys_spark.numerics.arrays import F64, I64, Bools
from recsys_spark.profiles.users import N_FRIEND_ITEMS
from recsys_spark.profiles.weights import MAX_WEIGHT

SECONDS_PER_DAY = 86_400.0


def type_weights(world: World) -> F64:
    """Return [n_rows]: the configured weight of each row's behaviour."""
    known = world.settings.behaviours
    weights = [known.weights.get(name, known.default_weight or 0.0) for name in world.behaviours]
    return np.array(weights)[world.rows.behaviour]


def undecayed(world: World) -> F64:
    """Return [n_rows]: behaviour weight x value transform (weights.undecayed_weight); no value counts as factor 1."""
    value = world.rows.value
    transforms: Mapping[str, Callable[[F64], F64]] = {
        "none": np.ones_like,
        "linear": np.asarray,
        "log1p": np.log1p,
        "sqrt": np.sqrt,
    }
    factor = transforms[world.settings.behaviours.value_transform](value)
    return np.minimum(type_weights(world) * np.where(np.isnan(value), 1.0, factor), MAX_WEIGHT)


def decay(world: World, half_life_days: float | None) -> F64:
    """Return [n_rows]: 2^(-age / half life) at `as_of` (weights.decay)."""
    age_days = (world.as_of - world.rows.time) / SECONDS_PER_DAY
    return np.ones(len(age_days)) if half_life_days is None else np.exp2(-age_days / half_life_days)


def decayed_popularity(world: World) -> F64:
    """Return [n_items]: the sum of type weight x decay (item_profiles.count_interactions)."""
    weight = type_weights(world) * decay(world, world.settings.popular_half_life_days)
    return _summed(world.rows.item, weight, world.n_items)


def recent(world: World) -> tuple[I64, I64]:
    """Return each user's newest `max_history` rows of positive weight, newest first, and offsets [n_users + 1].

    Order: (time desc, undecayed weight desc, item id, behaviour), as user_profiles.recent_behaviours.
    """
    rows, weight = world.rows, undecayed(world)
    counted = np.flatnonzero(weight > 0)
    order = np.lexsort((rows.behaviour, rows.item, -weight, -rows.time, rows.user))
    order = order[np.isin(order, counted, assume_unique=True)]
    return first_of_each(rows.user[order], order, world.settings.behaviours.max_history, world.n_users)


def first_of_each(user: I64, entries: I64, n: int, n_users: int) -> tuple[I64, I64]:
    """Return the first ``n`` entries of each user, ``user`` ascending, and their offsets [n_users + 1].

    >>> first_of_each(np.array([0, 0, 2]), np.array([7, 8, 9]), 1, 3)
    (array([7, 9]), array([0, 1, 1, 2]))
    """
    start = np.searchsorted(user, np.arange(n_users))
    kept = np.arange(len(user)) - start[user] < n
    return entries[kept], np.concatenate([[0], np.cumsum(np.bincount(user[kept], minlength=n_users))])


def social(world: World) -> tuple[I64, F64, I64]:
    """Return items of each user's neighbours, best first, weights, and offsets [n_users + 1] (users.social_items).

    A neighbour's N_FRIEND_ITEMS best items by decayed weight share 1. Every friend weighs 1; users are not their own
    friends.
    """
    profiles, n = world.settings.profiles, world.n_items
    chosen, _ = recent(world)
    weight = (undecayed(world) * decay(world, world.settings.behaviours.half_life_days))[chosen]
    keys, places = np.unique(world.rows.user[chosen] * n + world.rows.item[chosen], return_inverse=True)
    taste = _summed(places, weight, len(keys))
    order = np.lexsort((keys % n, -taste, keys // n))
    best, offsets = first_of_each(keys[order] // n, order, N_FRIEND_ITEMS, world.n_users)
    item, share = keys[best] % n, taste[best] / np.repeat(_sums(taste[best], offsets), np.diff(offsets))
    pairs = np.unique(world.friends[world.friends[:, 0] != world.friends[:, 1]], axis=0)
    near, bounds = first_of_each(pairs[:, 0], np.arange(len(pairs)), profiles.max_neighbours, world.n_users)
    friend = pairs[near, 1]
    lengths = np.diff(offsets)[friend]
    owner = np.repeat(np.repeat(np.arange(world.n_users), np.diff(bounds)), lengths)
    flat = np.arange(lengths.sum()) + np.repeat(
        offsets[friend] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths
    )
    keys, places = np.unique(owner * n + item[flat], return_inverse=True)
    added = _summed(places, share[flat], len(keys))
    order = np.lexsort((keys % n, -added, keys // n))
    kept, social_offsets = first_of_each(keys[order] // n, order, profiles.max_social_items, world.n_users)
    return keys[kept] % n, added[kept], social_offsets


def input_table(world: World, texts: Texts) -> pa.Table:
    """Return columns INPUT_COLUMNS, a row for each user (model_inputs.user_inputs)."""
    chosen, offsets = recent(world)
    rows, names = world.rows.take(chosen), np.array(world.behaviours, object)
    weight = undecayed(world)[chosen] * decay(world, world.settings.behaviours.half_life_days)[chosen]
    social_items, social_weights, social_offsets = social(world)
    columns = {
        "user_id": pa.array(world.users, pa.string()),
        "items": _lists(offsets, pa.array(world.items[rows.item], pa.string())),
        "behaviours": _lists(offsets, pa.array(names[rows.behaviour], pa.string())),
        "times": _lists(offsets, pa.array(rows.time)),
        "weights": _lists(offsets, pa.array(weight)),
        "social_items": _lists(social_offsets, pa.array(world.items[social_items], pa.string())),
        "social_weights": _lists(social_offsets, pa.array(social_weights)),
        "vector": _vectors(texts.users, texts.has_user),
    }
    return pa.table({name: columns[name] for name in INPUT_COLUMNS})


def _summed(place: I64, weights: F64, n: int) -> F64:
    return np.asarray(np.bincount(place, weights=weights, minlength=n), np.float64)


def _sums(values: F64, offsets: I64) -> F64:
    """Return the sum of each row of a ragged array; 1 if it is 0, so that nothing is divided by 0."""
    totals = np.diff(np.concatenate([[0.0], np.cumsum(values)])[offsets])
    return np.where(totals > 0, totals, 1.0)


def _lists(offsets: I64, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _vectors(matrix: np.ndarray, present: Bools) -> pa.Array:
    """Return rows as lists; an absent row is null."""
    n, width = matrix.shape
    flat = pa.array(np.ascontiguousarray(matrix[present]).reshape(-1))
    starts = np.concatenate([[0], np.cumsum(present) * width]).astype(np.int32)
    return (
        pa.ListArray.from_arrays(pa.array(starts), flat, mask=pa.array(~present))
        if n
        else pa.array([], pa.list_(pa.float32()))
    )
