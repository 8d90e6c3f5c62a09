"""Measures whether a probability can be read as one: reliability bins, calibration error, and what chance alone gives.

The error of a finite sample is never 0. With few rows, the observed share of a bin is far from its probability even
where every probability is true. So each figure has next to it what a calibrated model would show with the same
predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_spark.numerics.arrays import F64, I64, Bools

N_BINS = 15
MIN_ROWS = 10
"""Rows per bin on average; of fewer rows there are fewer bins."""
N_DRAWS = 200
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Reliability:
    """Holds b bins of n predictions, ascending. No bin is empty, so b is 0 where n is 0."""

    count: I64
    """[b] rows, at least 1"""
    predicted: F64
    """[b] mean of the probabilities"""
    observed: F64
    """[b] share of rows whose event happened"""

    @property
    def ece(self) -> float:
        """Return the expected calibration error; NaN without rows.

        It is the sum over bins of count / n * |observed - predicted|. Naeini, Cooper and Hauskrecht 2015, "Obtaining
        well calibrated probabilities using Bayesian binning"; Guo et al. 2017, "On calibration of modern neural
        networks", equation 3.
        """
        return _error(self.count, self.observed - self.predicted)

    @property
    def gap(self) -> float:
        """Return mean probability minus share of events over all rows; NaN without rows. Above 0: too sure."""
        n = int(self.count.sum())
        return float(self.count @ (self.predicted - self.observed)) / n if n else float("nan")


@dataclass(frozen=True)
class Chance:
    """Holds what the bins of a calibrated model with the same n predictions would show."""

    ece: float
    """Mean of its error; NaN without rows"""
    ece_high: float
    """The error that it exceeds in one of 40 samples"""
    low: F64
    """[b] the share observed in a bin is between `low`"""
    high: F64
    """[b] and `high` in 95% of samples"""


def reliability(p: npt.ArrayLike, happened: npt.ArrayLike, n_bins: int = N_BINS) -> Reliability:
    """Return at most ``n_bins`` bins of about equally many rows, of ``p`` [n] in [0, 1] and ``happened`` [n] bool.

    The bins have equal mass, not equal width as in Guo et al.: with equal width, the probability of one item among
    thousands would always be in the first bin. Equal probabilities share a bin, so the order of rows does not matter.
    Raises ValueError for a probability that is NaN or not in [0, 1], for events that are not bool, for lengths that
    differ, and for ``n_bins`` below 1.

    >>> found = reliability([0.1] * 10 + [0.7] * 10, [True] + [False] * 9 + [True] * 5 + [False] * 5)
    >>> found.count.tolist(), found.predicted.round(3).tolist(), found.observed.tolist(), round(found.ece, 3)
    ([10, 10], [0.1, 0.7], [0.1, 0.5], 0.1)
    """
    predictions, events = _checked(p, happened)
    of = _bins(predictions, n_bins)
    # Sorted, so that sums round alike in whatever order the rows come.
    order = np.lexsort((events, predictions))
    count = np.bincount(of)
    total = np.bincount(of[order], weights=predictions[order])
    return Reliability(count, total / count, np.bincount(of, weights=events) / count)


def chance(p: npt.ArrayLike, n_bins: int = N_BINS, n_draws: int = N_DRAWS, seed: int = 0) -> Chance:
    """Return what the same bins show where the events of ``p`` [n] are drawn from the probabilities, ``n_draws`` times.

    This is consistency resampling (Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams").
    Raises ValueError as `reliability` does.

    >>> found = chance(np.full(400, 0.5))
    >>> round(found.ece, 2), found.low.round(2).tolist(), found.high.round(2).tolist()
    (0.02, [0.45], [0.55])
    """
    predictions, _ = _checked(p, np.zeros(np.shape(p), bool))
    # The draw of a row depends on its place, so places are by probability.
    predictions = np.sort(predictions)
    of = _bins(predictions, n_bins)
    count = np.bincount(of)
    if not len(count):
        return Chance(float("nan"), float("nan"), np.empty(0), np.empty(0))
    mean, rng = np.bincount(of, weights=predictions) / count, np.random.default_rng(seed)
    observed = np.empty((n_draws, len(count)))
    for draw in range(n_draws):
        observed[draw] = np.bincount(of, weights=rng.random(len(of)) < predictions) / count
    errors = [_error(count, row - mean) for row in observed]
    low, high = np.percentile(observed, INTERVAL, axis=0)
    return Chance(float(np.mean(errors)), float(np.percentile(errors, INTERVAL[1])), low, high)


def _error(count: I64, difference: F64) -> float:
    n = int(count.sum())
    return float(count @ np.abs(difference)) / n if n else float("nan")


def _checked(p: npt.ArrayLike, happened: npt.ArrayLike) -> tuple[F64, Bools]:
    predictions, events = np.asarray(p, np.float64), np.asarray(happened)
    if not len(events):
        # An empty list has no type of its own.
        events = events.astype(bool)
    if predictions.ndim != 1 or predictions.shape != events.shape:
        raise ValueError(
            f"probabilities of shape {predictions.shape}, events of {events.shape}: expected one of each row"
        )
    if events.dtype != np.bool_:
        raise ValueError(f"events of type {events.dtype}, expected bool")
    # Not `(p < 0) | (p > 1)`, which lets NaN pass.
    wrong = ~((predictions >= 0) & (predictions <= 1))
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} of {len(wrong)} probabilities not in [0, 1], such as {predictions[wrong][0]}"
        )
    return predictions, events


def _bins(p: F64, n_bins: int) -> I64:
    """Return the bin of each row [n], from 0 without gaps. Rows of equal probability share the bin of their middle."""
    if n_bins < 1:
        raise ValueError(f"{n_bins} bins, expected 1 at least")
    _, of_value, count = np.unique(p, return_inverse=True, return_counts=True)
    n_bins = min(n_bins, max(1, len(p) // MIN_ROWS))
    # Whole numbers: where a bin ends must not depend on rounding.
    bin_of_value = (2 * np.cumsum(count) - count) * n_bins // max(1, 2 * len(p))
    _, dense = np.unique(bin_of_value, return_inverse=True)
    of: I64 = dense[of_value]
    return of
