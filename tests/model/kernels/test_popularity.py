"""The popularity prior: popularity at each moment, and its effect on items that nobody has touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.popularity import Popularity, replay, slice_borders
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import N_ITEMS, catalogue, data, histories

DAY = 86_400.0
ONE = np.ones(1)


def now(n: int) -> np.ndarray:
    return Popularity(np.ones(n), np.ones(n)).features(np.ones(2))


def test_popularity_of_a_slice_counts_only_behaviours_before_it() -> None:
    items, times = np.repeat(np.arange(10), 10), np.arange(100) * DAY
    replayed = replay(items, times, np.ones(100), 10, 30.0, now(10))
    assert replayed.n_slices == 8
    for s, moment in enumerate(replayed.borders, start=1):
        np.testing.assert_array_equal(replayed.known[s], [times[items == i].min() < moment for i in range(10)])
        np.testing.assert_array_equal(replayed.features[s, :, 2] == 0, replayed.known[s])
    assert np.bincount(replayed.slice_of(times)).tolist() == [30, 10, 10, 10, 10, 10, 10, 10]
    assert replayed.slice_of(replayed.borders).tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_the_first_slice_is_scored_by_its_own_popularity() -> None:
    items, times = np.repeat(np.arange(10), 10), np.arange(100) * DAY
    replayed = replay(items, times, np.ones(100), 10, 30.0, now(10))
    assert replayed.known[0].tolist() == [True] * 3 + [False] * 7


def test_recent_popularity_decays_with_age_and_counts_weights() -> None:
    items = np.array([0] * 50 + [1] * 50)
    times, weights = np.arange(100) * DAY, np.where(items == 0, 1.0, 3.0)
    last = replay(items, times, weights, 2, 10.0, now(2)).features[-1]
    alike = replay(items, times, np.ones(100), 2, 10.0, now(2)).features[-1]
    assert last[1, 0] > last[0, 0] + 1, "item 1 is the recent one"
    assert last[1, 0] - last[0, 0] > alike[1, 0] - alike[0, 0], "and weighs three times as much"
    assert abs(last[1, 1] - last[0, 1]) < 1, "of behaviours in all they have about the same"


@pytest.mark.parametrize("times", [np.zeros(50), np.arange(50.0), np.full(50, 7.0), np.empty(0)])
def test_data_without_real_times_have_one_slice(times: np.ndarray) -> None:
    assert len(slice_borders(times)) == 0
    popularity = Popularity(np.array([4.0, 1.0]), np.array([8.0, 2.0]))
    replayed = replay(
        np.zeros(len(times), np.int64), times, np.ones(len(times)), 2, 30.0, popularity.features(np.ones(2))
    )
    np.testing.assert_array_equal(replayed.features[0], popularity.features(np.ones(2)))
    assert replayed.known.all()


def test_popularity_features_are_finite_and_relative_to_the_units() -> None:
    popularity = Popularity(np.array([0.0, 1e-300, 5.0]), np.array([0.0, 3.0, 9.0]))
    features = popularity.features(popularity.units())
    assert np.isfinite(features).all()
    faded = Popularity(popularity.recent * 2.0**-40, popularity.total)
    np.testing.assert_allclose(faded.features(faded.units()), features, rtol=1e-5)


def test_an_empty_or_untouched_catalogue_has_units() -> None:
    assert Popularity(np.zeros(3), np.zeros(3)).units().tolist() == [1.0, 1.0]
    assert Popularity(np.zeros(0), np.zeros(0)).units().tolist() == [1.0, 1.0]


def test_popularity_is_read_from_the_columns_of_item_inputs() -> None:
    table = pa.table({"popularity": [0.5, 2.0], "n_behaviours": pa.array([1, 7], pa.int64())})
    found = Popularity.of(table)
    assert (found.recent.tolist(), found.total.tolist()) == ([0.5, 2.0], [1.0, 7.0])


def shop(n_new: int, n_users: int = 120) -> Histories:
    """Every ten days four items come; a user has five behaviours, of which ``n_new`` are with the newest items."""
    rng = np.random.default_rng(0)
    rows, times = [], []
    for user in range(n_users):
        start = user * 1.0
        week = min(int(start // 10), N_ITEMS // 4 - 1)
        old = rng.choice(4 * week + 1, size=4) if week else np.zeros(4, np.int64)
        new = 4 * week + rng.permutation(4)
        rows.append([int(old[0]), *(int(i) for i in np.where(np.arange(4) < n_new, new, old))])
        times += [(start + k / 10) * DAY for k in range(5)]
    return replace(histories(rows), times=np.array(times))


def untouched_bias(users: Histories) -> float:
    world = catalogue()
    settings = Model(
        width=16, n_layers=1, epochs=12, batch_positions=128, learning_rate=2e-2, dropout=0.0, trial_epochs=0
    )
    artifact = fit(data(users), settings, seed=0)
    one = Recommender(artifact).item_vectors(
        np.array(["new"], object), world.vectors[:1], np.ones(1, bool), Popularity(np.zeros(1), np.zeros(1))
    )
    return float(one.bias[0])


def test_a_shop_whose_new_items_sell_gives_new_items_a_better_prior() -> None:
    assert untouched_bias(shop(n_new=4)) > untouched_bias(shop(n_new=0)) + 0.2
