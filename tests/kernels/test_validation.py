"""The trial run: what it hides, what it measures, and what training takes from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.config import Model
from recsys_spark.kernels import training
from recsys_spark.kernels.histories import Histories
from recsys_spark.kernels.links import Evidence
from recsys_spark.kernels.objective import Catalogue
from recsys_spark.kernels.popularity import Popularity, slice_borders
from recsys_spark.kernels.recommender import ItemVectors, Recommender
from recsys_spark.kernels.training import EpochLoss, Trial, TrialEpoch, fit, try_out
from recsys_spark.kernels.validation import (
    BOOSTS,
    MIN_USERS,
    TEMPERATURES,
    Found,
    HeldOut,
    cold_item_boost,
    hold_out,
    measure,
)
from tests.kernels.worlds import N_ITEMS, catalogue, data, histories, tasteful_users

DAY = 86_400.0
SETTINGS = Model(width=16, n_layers=1, epochs=6, batch_positions=256, learning_rate=1e-2, dropout=0.0, patience=2)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def users_over_time(n_users: int = 60) -> Histories:
    """Each user acts on ten days, spread over a hundred."""
    users = tasteful_users(n_users, length=10)
    times = np.array([(10.0 * k + user % 10) * DAY for user in range(n_users) for k in range(10)])
    return replace(users, times=times)


def test_the_newest_slice_is_hidden() -> None:
    users = users_over_time()
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    assert held.moment == slice_borders(users.times)[-1]
    assert held.train.times.max() < held.moment
    assert len(held.train.items) + (users.times >= held.moment).sum() == len(users.items)
    assert held.train.n_users == users.n_users


def test_the_truth_is_what_was_hidden_and_not_seen_before() -> None:
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


def test_data_without_times_give_up_the_last_item_of_some_users_everywhere() -> None:
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


def test_friends_say_nothing_in_a_trial() -> None:
    """Their items are those of the end of the data, the held-out part included."""
    plain = users_over_time()
    rows = [list(plain.take(np.array([user])).items) for user in range(plain.n_users)]
    users = replace(histories(rows, social={user: [39] for user in range(plain.n_users)}), times=plain.times)
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    assert not held.asked.has_social.any()
    assert not held.train.has_social.any()
    assert users.has_social.all()


def test_too_much_is_never_hidden() -> None:
    """A month of little and a last day of most: that day is one slice, and without it there is nothing to learn from."""
    users = users_over_time()
    times = np.where(np.arange(len(users.items)) % 10 < 3, users.times / 10, 90 * DAY)
    held = hold_out(replace(users, times=times), N_ITEMS, False, rng())
    assert held is None or len(held.train.items) > 0.7 * len(users.items)


def test_repeats_are_asked_for_where_lists_hold_them() -> None:
    users = histories([[1, 2, 1]] * 400)
    times = np.tile(np.array([0.0, 1.0, 2.0]), 400) * 30 * DAY
    late = replace(users, times=times + np.repeat(np.arange(400), 3) * DAY)
    held = hold_out(late, N_ITEMS, True, rng())
    assert held is not None
    assert 1 in held.truth_item
    logits = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (400, 1))
    logits[:, 0] = -99
    assert measure(held, Fixed(logits), catalogue()).recall == 1.0  # type: ignore[arg-type]


def test_equal_scores_and_nans_are_no_hits() -> None:
    for value in (0.0, np.nan):
        logits = np.full((2, N_ITEMS), value, np.float32)
        assert measure(asked([[0], [1]], [[2], [3]]), Fixed(logits), catalogue()).ndcg == 0.0  # type: ignore[arg-type]


def test_behaviours_of_one_moment_have_no_last() -> None:
    users = histories([[1, 2, 3, 4]] * 2_000)
    held = hold_out(replace(users, times=np.zeros(len(users.items))), N_ITEMS, False, rng())
    assert held is not None
    counts = np.bincount(held.truth_item, minlength=5)[1:]
    assert counts.min() > 0.15 * counts.sum()


@pytest.mark.parametrize("rows", [[[1, 2]] * (MIN_USERS - 1), [[1]] * 500, [[2, 2, 2]] * 500])
def test_too_few_to_ask_is_no_trial(rows: list[list[int]]) -> None:
    assert hold_out(histories(rows), N_ITEMS, False, rng()) is None


class Fixed:
    """A recommender whose logits are those of the user's own row."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    def item_vectors(self, *_: object) -> ItemVectors:
        n = self.logits.shape[1]
        return ItemVectors(
            np.zeros((n, 1)), np.zeros((n, 1)), np.eye(n, dtype=np.float32), np.zeros(n, np.float32), np.arange(n)
        )

    def user_boosts(self, *_: object) -> Evidence:
        return Evidence(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    def user_vectors(self, asked: Histories, _: object) -> np.ndarray:
        return self.logits[[int(u[1:]) for u in asked.user_ids]]


def asked(rows: list[list[int]], truth: list[list[int]]) -> HeldOut:
    users = histories(rows)
    row = np.repeat(np.arange(len(truth)), [len(one) for one in truth])
    return HeldOut(users, 0.0, users, row, np.array([i for one in truth for i in one]), False)


def test_seen_items_take_no_place_and_metrics_are_those_of_the_truth() -> None:
    logits = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (2, 1))
    found = measure(asked([[0, 1], [5]], [[2], [0, 39]]), Fixed(logits), catalogue())  # type: ignore[arg-type]
    # User 0: item 2 is first once 0 and 1 are gone. User 1: item 0 is first, item 39 is far.
    assert found.recall == pytest.approx((1 + 0.5) / 2)
    assert found.ndcg == pytest.approx((1 + 1 / (1 + 1 / np.log2(3))) / 2)
    own = np.log(np.exp(logits[0].astype(float)).sum())
    assert found.nll == pytest.approx(((own + 2) + own + (own + 39)) / 3, rel=1e-5)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_temperature_makes_p_true(scale: float) -> None:
    """Truth drawn from softmax(logits), logits handed over at another scale."""
    draw, n = np.random.default_rng(1), 3_000
    logits = draw.normal(size=(n, N_ITEMS)).astype(np.float32) * 2
    p = np.exp(logits - logits.max(1, keepdims=True))
    p[:, 0] = 0  # item 0 is what everybody has seen
    p /= p.sum(1, keepdims=True)
    truth = [[int(draw.choice(N_ITEMS, p=row))] for row in p]
    logits[:, 0] = -50
    found = measure(asked([[0]] * n, truth), Fixed(logits * scale), catalogue())  # type: ignore[arg-type]
    step = np.log(TEMPERATURES[1] / TEMPERATURES[0])
    assert abs(np.log(found.temperature / scale)) < 1.01 * step


def test_the_trial_sees_nothing_of_the_held_out_part() -> None:
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


def trial_of(ndcgs: list[float], patience: int, monkeypatch: pytest.MonkeyPatch) -> Trial:
    values = iter(ndcgs)
    monkeypatch.setattr(training, "measure", lambda *_: Found(next(values), 0.0, 1.0, 1.3))
    users = users_over_time()
    held = hold_out(users, N_ITEMS, False, rng())
    assert held is not None
    settings = SETTINGS.model_copy(update={"patience": patience})
    return try_out(data(users), held, settings, 0, lambda _: None)


@pytest.mark.parametrize(
    ("ndcgs", "patience", "epochs"),
    [([0.3, 0.2, 0.1], 2, 3), ([0.1, 0.3, 0.2, 0.25], 2, 4), ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6), ([0.1, 0.05], 1, 2)],
)  # fmt: skip
def test_a_trial_ends_when_patience_does(
    ndcgs: list[float], patience: int, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trial_of(ndcgs, patience, monkeypatch)
    assert len(trial.entries) == epochs
    assert trial.epochs == 1 + int(np.argmax(ndcgs))


def test_training_takes_the_best_epochs_and_the_scale_of_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.1, 0.4, 0.2, 0.3])
    monkeypatch.setattr(training, "measure", lambda *_: Found(next(values), 0.0, 1.0, 1.5))
    seen: list[EpochLoss | TrialEpoch] = []
    artifact = fit(data(users_over_time()), SETTINGS, seed=0, on_epoch=seen.append)
    assert [type(entry).__name__ for entry in seen] == ["TrialEpoch"] * 4 + ["EpochLoss"] * 2
    assert len(artifact.facts["trial"]) == 4
    assert len(artifact.facts["losses"]) == 2
    assert float(artifact.tensors["temperature"]) == pytest.approx(1.5)
    plain = Recommender(replace(artifact, tensors={**artifact.tensors, "temperature": np.array(1.0, np.float32)}))
    world = catalogue()
    one, other = (
        r.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
        for r in (Recommender(artifact), plain)
    )
    np.testing.assert_allclose(one.theta * 1.5, other.theta, rtol=1e-5)
    np.testing.assert_allclose(one.bias * 1.5, other.bias, rtol=1e-5)
    assert len(artifact.facts["warm_item_ids"]) == len(np.unique(users_over_time().items))


def test_a_trial_of_a_planted_world_finds_its_tastes() -> None:
    seen: list[EpochLoss | TrialEpoch] = []
    fit(data(users_over_time(200)), SETTINGS, seed=0, on_epoch=seen.append)
    trial = [entry for entry in seen if isinstance(entry, TrialEpoch)]
    # Ten of sixteen items of the taste are used up at most; a list by chance holds half of the other taste.
    assert max(entry.found.recall for entry in trial) > 0.6
    assert "held-out ndcg@10" in trial[0].line()


def shop_with_news(new_truth: int, n_users: int = 100) -> tuple[HeldOut, Fixed, Catalogue]:
    """Items 30 to 39 are new and score about 1.4 below item 1; ``new_truth`` users of a hundred want item 30, the rest item 1."""
    logits = np.tile(np.where(np.arange(N_ITEMS) < 30, 0.0, -1.1), (n_users, 1)).astype(np.float32)
    logits += 0.01 * -np.arange(N_ITEMS, dtype=np.float32)
    truth = [[30] if user < new_truth else [1] for user in range(n_users)]
    touched = (np.arange(N_ITEMS) < 30).astype(float)
    world = replace(catalogue(), popularity=Popularity(touched, touched))
    return asked([[0]] * n_users, truth), Fixed(logits), world


def test_new_items_that_hardly_anybody_wants_are_not_pushed_into_the_list() -> None:
    held, recommender, world = shop_with_news(new_truth=1)
    assert cold_item_boost(held, recommender, world, cost=0.005) < 1.4  # type: ignore[arg-type]


def test_new_items_that_some_want_are() -> None:
    held, recommender, world = shop_with_news(new_truth=60)
    assert cold_item_boost(held, recommender, world, cost=0.005) > 1.4  # type: ignore[arg-type]


def test_cost_is_what_may_be_given_up() -> None:
    held, recommender, world = shop_with_news(new_truth=1)
    boosts = [cold_item_boost(held, recommender, world, cost) for cost in (0.0, 0.05, 1.0)]  # type: ignore[arg-type]
    assert boosts == sorted(boosts)
    assert boosts[0] < boosts[-1] == BOOSTS[-1]


def test_a_trial_that_finds_nothing_pushes_nothing() -> None:
    _, recommender, world = shop_with_news(new_truth=1)
    touched = (np.arange(N_ITEMS) < 25).astype(float)
    world = replace(world, popularity=Popularity(touched, touched))
    # Item 39 is cold, and the last of fifteen.
    held = asked([[0]] * 100, [[24]] * 99 + [[39]])
    assert cold_item_boost(held, recommender, world, cost=0.005) == 0.0


def test_without_new_items_nothing_is_pushed() -> None:
    held, recommender, _ = shop_with_news(new_truth=50)
    assert cold_item_boost(held, recommender, catalogue(), cost=1.0) == 0.0  # type: ignore[arg-type]


def test_the_boost_reaches_new_items_alone() -> None:
    users, world = users_over_time(), catalogue()
    run = training.Run(data(users), SETTINGS, 0)
    plain, pushed = (
        Recommender(run.artifact({}, cold_item_boost=boost)).item_vectors(
            world.ids, world.vectors, world.has_vector, Popularity(*2 * [(np.arange(N_ITEMS) % 2).astype(float)])
        )
        for boost in (0.0, 2.0)
    )
    np.testing.assert_allclose(pushed.bias - plain.bias, np.where(np.arange(N_ITEMS) % 2, 0.0, 2.0), atol=1e-5)
