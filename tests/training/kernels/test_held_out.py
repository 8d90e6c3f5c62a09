"""The trial run: the behaviours that it hides, and its metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.model.kernels.choices import TEMPERATURES
from recsys_spark.model.kernels.epochs import Found
from recsys_spark.model.kernels.popularity import slice_borders
from recsys_spark.training.kernels.asked import measure
from recsys_spark.training.kernels.held_out import MIN_USERS, HeldOut, hold_out
from tests.model.worlds import N_ITEMS, data, histories
from tests.training.trial_worlds import DAY, Fixed, asked, rng, seen_by, users_over_time


def found_by(logits: np.ndarray, held: HeldOut) -> Found:
    return measure(seen_by(Fixed(logits), held), link_strength=1.0, cosine=0.0)[0]


def test_the_newest_slice_of_time_is_held_out() -> None:
    users = users_over_time()
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    assert held.moment == slice_borders(users.times)[-1]
    assert held.train.times.max() < held.moment
    assert len(held.train.items) + (users.times >= held.moment).sum() == len(users.items)
    assert held.train.n_users == users.n_users


def test_the_truth_holds_hidden_items_that_the_user_had_not_seen_before() -> None:
    users = users_over_time()
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    for row, user_id in enumerate(held.asked.user_ids):
        user = int(user_id[1:])
        of = slice(users.offsets[user], users.offsets[user + 1])
        late = users.times[of] >= held.moment
        wanted = set(users.items[of][late]) - set(users.items[of][~late])
        assert set(held.truth_item[held.truth_row == row]) == wanted != set()
        assert list(held.asked.take(np.array([row])).items) == list(users.items[of][~late])


def test_without_times_the_last_item_of_some_users_is_held_out_wholly() -> None:
    users = histories([[1, 2, 3, 3] if user % 2 else [4, 5, 4] for user in range(600)])
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    assert 30 < held.asked.n_users < 90
    assert set(held.truth_item) == {3, 4}
    hidden = set(held.asked.user_ids)
    for user, user_id in enumerate(users.user_ids):
        left = list(held.train.take(np.array([user])).items)
        whole = list(users.take(np.array([user])).items)
        assert left == ([i for i in whole if i != whole[-1]] if user_id in hidden else whole)


def test_a_trial_uses_no_items_of_friends() -> None:
    """The items of friends are known as of the end of the data, the held-out part included."""
    plain = users_over_time()
    rows = [list(plain.take(np.array([user])).items) for user in range(plain.n_users)]
    users = replace(histories(rows, social={user: [39] for user in range(plain.n_users)}), times=plain.times)
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    assert not held.asked.has_social.any()
    assert not held.train.has_social.any()
    assert users.has_social.all()


def test_no_more_than_the_allowed_share_is_hidden() -> None:
    """A month has little and its last day most. That day is one slice, and without it there is nothing to learn
    from."""
    users = users_over_time()
    times = np.where(np.arange(len(users.items)) % 10 < 3, users.times / 10, 90 * DAY)
    held = hold_out(replace(users, times=times), N_ITEMS, False, rng())
    assert held is None or len(held.train.items) > 0.7 * len(users.items)


def test_repeats_are_asked_for_if_lists_hold_seen_items() -> None:
    users = histories([[1, 2, 1]] * 400)
    times = np.tile(np.array([0.0, 1.0, 2.0]), 400) * 30 * DAY
    late = replace(users, times=times + np.repeat(np.arange(400), 3) * DAY)
    held = hold_out(late, N_ITEMS, True, rng())
    assert held is not None
    assert 1 in held.truth_item
    logits = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (400, 1))
    logits[:, 0] = -99
    assert found_by(logits, held).recall == 1.0


def test_equal_scores_and_nans_do_not_count_as_hits() -> None:
    for value in (0.0, np.nan):
        logits = np.full((2, N_ITEMS), value, np.float32)
        found = found_by(logits, asked([[0], [1]], [[2], [3]]))
        assert found.ndcg == 0.0
        assert found.temperature == 1.0 or np.isfinite(value)


def test_any_behaviour_of_one_moment_may_be_the_last() -> None:
    users = histories([[1, 2, 3, 4]] * 2_000)
    held = hold_out(replace(users, times=np.zeros(len(users.items))), N_ITEMS, False, rng())
    assert held is not None
    counts = np.bincount(held.truth_item, minlength=5)[1:]
    assert counts.min() > 0.15 * counts.sum()


@pytest.mark.parametrize("rows", [[[1, 2]] * (MIN_USERS - 1), [[1]] * 500, [[2, 2, 2]] * 500])
def test_too_few_users_to_ask_give_no_trial(rows: list[list[int]]) -> None:
    assert hold_out(histories(rows), N_ITEMS, False, rng()) is None


def test_seen_items_take_no_place_in_the_list_and_metrics_count_only_the_truth() -> None:
    logits = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (2, 1))
    found = found_by(logits, asked([[0, 1], [5]], [[2], [0, 39]]))
    # User 0: item 2 is first once 0 and 1 are gone. User 1: item 0 is first, item 39 is far.
    assert found.recall == pytest.approx((1 + 0.5) / 2)
    assert found.ndcg == pytest.approx((1 + 1 / (1 + 1 / np.log2(3))) / 2)
    own = np.log(np.exp(logits[0].astype(float) / found.temperature).sum())
    assert found.nll == pytest.approx(own + (2 + 0 + 39) / found.temperature / 3, rel=1e-5)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_the_scale_of_the_logits(scale: float) -> None:
    """The truth is drawn from softmax(logits), and the logits are given at another scale."""
    draw, n = np.random.default_rng(1), 3_000
    logits = draw.normal(size=(n, N_ITEMS)).astype(np.float32) * 2
    p = np.exp(logits - logits.max(1, keepdims=True))
    p[:, 0] = 0  # item 0 is what everybody has seen
    p /= p.sum(1, keepdims=True)
    truth = [[int(draw.choice(N_ITEMS, p=row))] for row in p]
    logits[:, 0] = -50
    found = found_by(logits * scale, asked([[0]] * n, truth))
    step = np.log(TEMPERATURES[1] / TEMPERATURES[0])
    assert abs(np.log(found.temperature / scale)) < 1.01 * step


def test_hidden_behaviours_do_not_change_the_data_of_a_trial() -> None:
    users = users_over_time()
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    past = data(users).before(held.train, held.moment)
    assert past.catalogue.popularity.total.sum() == len(held.train.items)
    other = users.items.copy()
    other[users.times >= held.moment] = (other[users.times >= held.moment] + 1) % N_ITEMS
    changed = hold_out(replace(users, items=other), N_ITEMS, False, rng())
    assert changed is not None
    again = data(replace(users, items=other)).before(changed.train, changed.moment)
    np.testing.assert_array_equal(again.histories.items, past.histories.items)
    np.testing.assert_array_equal(again.catalogue.popularity.recent, past.catalogue.popularity.recent)
