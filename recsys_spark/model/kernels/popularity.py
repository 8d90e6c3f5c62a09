"""The popularity prior of b_j, and its replay: what was known of every item at moments of the training data.

In scoring, b_j = beta . features_j + c_j. The features say how often an item was chosen lately, how often ever, and
whether anyone has ever chosen it.

If beta were learned from the popularity at the end of the data, every target would already be popular. An item that
nobody has touched yet could then only lose. So time is cut into slices. A target is scored by what was known when its
slice began: then the next item is sometimes a new one, and beta learns how often.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys_spark.numerics.arrays import F32, F64, I64, Bools
from recsys_spark.worker.process_group import ALONE, Group

N_FEATURES = 3
POPULARITY_FLOOR = 0.1
WARM_UP_SHARE = 0.3
SLICE_SHARE = 0.1
SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True)
class Popularity:
    """How often each of n items was chosen."""

    recent: F64
    """[n] behaviour weight, decayed"""
    total: F64
    """[n] behaviours"""

    @staticmethod
    def of(items: pa.Table | pa.RecordBatch) -> Popularity:
        """Return the popularity in the columns `popularity` and `n_behaviours` of model.inputs.item_inputs."""
        recent, total = (np.asarray(items[name], np.float64) for name in ("popularity", "n_behaviours"))
        return Popularity(recent, total)

    def units(self) -> F64:
        """Return the mean of the recent and of the total popularity over items that have any, [2]; 1 where no item
        has any."""
        known = self.total > 0
        means = np.array([values[known].mean() if known.any() else 0.0 for values in (self.recent, self.total)])
        return np.where(means > 0, means, 1.0)

    def features(self, units: F64) -> F32:
        """Return features [n, N_FEATURES]: log recent, log total, and 1 for an item that nobody has chosen.

        Both logs are relative to ``units`` and finite for 0. So data that ended years before as_of have the same prior
        as fresh data.

        >>> Popularity(np.array([0.0, 9.9]), np.array([0.0, 0.9])).features(np.ones(2)).astype(float).round(3).tolist()
        [[0.0, 0.0, 1.0], [2.303, 0.0, 0.0]]
        """
        cold = self.total <= 0
        logs = np.log(np.stack([self.recent, self.total], 1) / units + POPULARITY_FLOOR)
        logs[cold] = 0.0
        return np.column_stack([logs, cold]).astype(np.float32)


@dataclass(frozen=True)
class Replay:
    """The knowledge of items at the beginning of each of S slices of time."""

    borders: F64
    """[S - 1] seconds; slice s holds the behaviours from borders[s - 1] on"""
    features: F32
    """[S, n, N_FEATURES]"""
    known: Bools
    """[S, n] whether anyone had chosen the item"""

    @property
    def n_slices(self) -> int:
        """Return the number of slices, S."""
        return len(self.features)

    def slice_of(self, times: F64) -> I64:
        """Return the slice of each moment, [n]."""
        return np.searchsorted(self.borders, times, side="right").astype(np.int64)


def replay(
    items: I64,
    times: F64,
    weights: F64,
    n_items: int,
    half_life_days: float,
    now: F32,
    group: Group = ALONE,
) -> Replay:
    """Cut the behaviours of all of the ``group`` into slices; flat arrays: item, seconds, behaviour weight without
    decay.

    Nothing comes before the first slice, so it is scored by its own popularity, among its own items. If the data cover
    no more than a day, or have positions instead of moments, this slice is the only one. Its features are then ``now``
    [n, N_FEATURES].
    """
    borders = slice_borders(group.moments(times))
    if not len(borders):
        return Replay(borders, now[None], np.ones((1, n_items), bool))
    features, known = [], []
    for moment in [borders[0], *borders]:
        past = popularity_at(moment, items, times, weights, n_items, half_life_days, group)
        features.append(past.features(past.units()))
        known.append(past.total > 0)
    return Replay(borders, np.stack(features), np.stack(known))


def popularity_at(
    moment: float,
    items: I64,
    times: F64,
    weights: F64,
    n_items: int,
    half_life_days: float,
    group: Group = ALONE,
) -> Popularity:
    """Return the popularity of each item by the behaviours of the ``group`` before ``moment``; flat arrays as in
    :func:`replay`."""
    before = times < moment
    age = (moment - times[before]) / SECONDS_PER_DAY
    recent = np.bincount(items[before], weights[before] * np.exp2(-age / half_life_days), minlength=n_items).astype(
        np.float64
    )
    total = np.bincount(items[before], minlength=n_items).astype(np.float64)
    return Popularity(group.add_up(recent), group.add_up(total))


def slice_borders(times: F64) -> F64:
    """Return the moments that cut the behaviours after the first WARM_UP_SHARE into parts of SLICE_SHARE; they are at
    least a day apart.

    >>> slice_borders(np.arange(1000.0) * 86_400 / 10).round(0).tolist()[:2]
    [2592000.0, 3456000.0]
    >>> slice_borders(np.zeros(10)).tolist()
    []
    """
    if not len(times):
        return np.empty(0)
    borders: list[float] = []
    last = float(times.min())
    for moment in np.quantile(times, np.arange(WARM_UP_SHARE, 0.999, SLICE_SHARE), method="higher"):
        if moment - last >= SECONDS_PER_DAY:
            borders.append(float(moment))
            last = moment
    return np.array(borders)
