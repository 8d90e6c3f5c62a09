"""The choices of a trial run: the strength of links, the scale of P, the boost of cold items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.choices import (
    COLD_ITEM_BOOSTS,
    COSINES,
    LINK_STRENGTHS,
    TEMPERATURES,
    USUAL_STRENGTH,
    Choices,
)
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.popularity import Popularity
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.training.kernels import choosing
from recsys_spark.training.kernels import fit as training
from recsys_spark.training.kernels.asked import Asked
from recsys_spark.training.kernels.choosing import better_by, choose, cold_item_boost, cosine_weight, link_strength
from tests.model.worlds import N_ITEMS, catalogue, data
from tests.training.trial_worlds import Fixed, asked, rng, seen_by, users_over_time

SETTINGS = Model(width=16, n_layers=1, epochs=6, batch_positions=256, learning_rate=1e-2, dropout=0.0)


def shop_with_news(new_truth: int, n_users: int = 100) -> Asked:
    """Items 30 to 39 are new and score about 1.4 below item 1; ``new_truth`` users of a hundred want item 30, the
    rest item 1."""
    logits = np.tile(np.where(np.arange(N_ITEMS) < 30, 0.0, -1.1), (n_users, 1)).astype(np.float32)
    logits += 0.01 * -np.arange(N_ITEMS, dtype=np.float32)
    truth = [[30] if user < new_truth else [1] for user in range(n_users)]
    touched = (np.arange(N_ITEMS) < 30).astype(float)
    world = replace(catalogue(), popularity=Popularity(touched, touched))
    return seen_by(Fixed(logits), asked([[0]] * n_users, truth), world)


def test_new_items_that_hardly_anybody_wants_are_not_pushed_into_the_list() -> None:
    assert cold_item_boost(shop_with_news(new_truth=1), 1.0, 0.0, cost=0.005) < 1.4


def test_new_items_that_users_want_are_pushed_into_the_list() -> None:
    assert cold_item_boost(shop_with_news(new_truth=60), 1.0, 0.0, cost=0.005) > 1.4


def test_new_items_do_not_fill_the_list_of_users_without_links() -> None:
    shop = shop_with_news(new_truth=1)
    boosts = np.zeros_like(shop.x)
    boosts[np.arange(100), shop.held.truth_item] = 10.0
    linked = seen_by(Fixed(shop.x, boosts), shop.held)
    linked.cold = shop.cold
    # Users with links see no difference.
    assert ndcg_with(linked, 6.0) == 1.0
    assert cold_item_boost(linked, 1.0, 0.0, cost=0.005) < 1.4


def ndcg_with(shop: Asked, boost: float) -> float:
    ranks = []
    for block in shop.blocks(1.0):
        block.logits[:, shop.cold] += boost
        ranks.append(block.ranks())
    return float(shop.ndcg(np.concatenate(ranks)).mean())


class LessByProfile(Fixed):
    """Without their history, users have logits of a tenth."""

    def user_vectors(self, asked: Histories, tokens: object) -> np.ndarray:
        return super().user_vectors(asked, tokens) * np.where(asked.lengths > 0, 1.0, 0.1).astype(np.float32)[:, None]


def test_new_items_do_not_fill_the_list_of_users_known_only_by_tags() -> None:
    logits = np.tile(np.where(np.arange(N_ITEMS) < 30, 0.0, -4.0), (100, 1)).astype(np.float32)
    logits += 0.01 * -np.arange(N_ITEMS, dtype=np.float32)
    touched = (np.arange(N_ITEMS) < 30).astype(float)
    world = replace(catalogue(), popularity=Popularity(touched, touched))
    held = asked([[0]] * 100, [[30]] + [[1]] * 99)
    plain = cold_item_boost(seen_by(LessByProfile(logits), held, world), 1.0, 0.0, cost=0.005)
    assert 3.0 < plain < 4.4
    tagged = replace(held, asked=replace(held.asked, has_text=np.ones(100, bool)))
    assert cold_item_boost(seen_by(LessByProfile(logits), tagged, world), 1.0, 0.0, cost=0.005) < 0.6
    lost = logits.copy()
    lost[:, 30] = -9.0
    by_tags = LessByProfile(lost)
    assert cold_item_boost(seen_by(by_tags, tagged, world), 1.0, 0.0, cost=0.005) < 0.6
    few = replace(held, asked=replace(held.asked, has_text=np.arange(100) < 19))
    assert cold_item_boost(seen_by(LessByProfile(logits), few, world), 1.0, 0.0, cost=0.005) == plain


def test_a_higher_cost_allows_a_higher_boost() -> None:
    boosts = [cold_item_boost(shop_with_news(new_truth=1), 1.0, 0.0, cost) for cost in (0.0, 0.05, 1.0)]
    assert boosts == sorted(boosts)
    assert boosts[0] < boosts[-1] == COLD_ITEM_BOOSTS[-1]


def test_a_trial_without_hits_gives_cold_items_no_boost() -> None:
    touched = (np.arange(N_ITEMS) < 25).astype(float)
    world = replace(catalogue(), popularity=Popularity(touched, touched))
    logits = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (100, 1))
    # Item 39 is cold, and the last of fifteen.
    held = asked([[0]] * 100, [[24]] * 99 + [[39]])
    assert cold_item_boost(seen_by(Fixed(logits), held, world), 1.0, 0.0, cost=0.005) == 0.0


def test_without_cold_items_there_is_no_boost() -> None:
    shop = shop_with_news(new_truth=50)
    shop.cold[:] = False
    assert cold_item_boost(shop, 1.0, 0.0, cost=1.0) == 0.0


def test_the_boost_raises_only_cold_items() -> None:
    users, world = users_over_time(), catalogue()
    run = training.Run(data(users), SETTINGS, 0)
    plain, pushed = (
        Recommender(run.artifact(Choices(cold_item_boost=boost))).item_vectors(
            world.ids, world.vectors, world.has_vector, Popularity(*2 * [(np.arange(N_ITEMS) % 2).astype(float)])
        )
        for boost in (0.0, 2.0)
    )
    np.testing.assert_allclose(pushed.bias - plain.bias, np.where(np.arange(N_ITEMS) % 2, 0.0, 2.0), atol=1e-5)


def linked_shop(wanted: int, n_users: int = 200) -> Asked:
    """A shop where links lead to item 3, and without them items 1 and 2 come first; users take item ``wanted``."""
    logits = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (n_users, 1))
    boosts = np.zeros_like(logits)
    # 2 times 0.7 brings it before item 2, 4 times before item 1.
    boosts[:, 3] = 0.7
    return seen_by(Fixed(logits, boosts), asked([[0]] * n_users, [[wanted]] * n_users))


@pytest.mark.parametrize(("wanted", "strength"), [(3, 3.0), (2, 1.0), (1, USUAL_STRENGTH), (9, USUAL_STRENGTH)])
def test_the_link_strength_with_the_best_held_out_ndcg_is_chosen(wanted: int, strength: float) -> None:
    """The usual strength stays if no other one is better."""
    assert link_strength(linked_shop(wanted)) == strength


def test_the_gain_of_a_few_users_does_not_change_the_link_strength() -> None:
    shop = linked_shop(wanted=3, n_users=40)
    # Two of forty gain, one loses, and the others want an item that no strength moves.
    shop.held.truth_item[2:] = 9
    shop.held.truth_item[2] = 1
    assert link_strength(shop) == USUAL_STRENGTH


def test_a_difference_within_one_standard_error_is_not_better() -> None:
    one = rng().random(1_000)
    assert not better_by(1.0, one, one)
    assert not better_by(1.0, one + 0.001 * rng().normal(size=1_000) - 0.001, one)
    assert better_by(1.0, one + 0.01, one)


def test_the_link_strength_multiplies_the_boosts() -> None:
    users = users_over_time()
    run = training.Run(data(users), SETTINGS, 0)
    world = catalogue()
    plain, strong = (Recommender(run.artifact(Choices(link_strength=s))) for s in (1.0, 3.0))
    items = plain.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    one, other = (r.user_boosts(users, items.link).value for r in (plain, strong))
    assert len(one)
    np.testing.assert_allclose(other, 3 * one, rtol=1e-5)


@pytest.mark.parametrize(("wanted", "weight"), [(2, 2.0), (1, 1.0), (9, 1.0)])
def test_the_cosine_weight_with_the_best_held_out_ndcg_is_chosen(wanted: int, weight: float) -> None:
    """Item 2 is close by the cosine. Weight 1 leaves it behind item 1, weight 2 brings it before.

    The usual weight stays if no other one is better.
    """
    shop = linked_shop(wanted)
    shop.x_unit = np.ones((len(shop.x), 1), np.float32)
    shop.y_unit = np.zeros((N_ITEMS, 1), np.float32)
    shop.y_unit[2] = 0.9
    assert cosine_weight(shop, 0.0) == weight


def test_the_temperature_does_not_change_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists by w_cos cos + logit / T equal lists by w_cos T cos + logit."""
    monkeypatch.setattr(choosing, "cosine_weight", lambda *_: 2.0)
    chosen, found = choose(linked_shop(wanted=1), 0.005)
    assert chosen.temperature == found.temperature != 1.0
    assert chosen.w_cos * chosen.temperature == pytest.approx(2.0)


COOLEST, HOTTEST = (float(TEMPERATURES[k]) for k in (0, -1))


@pytest.mark.parametrize(
    ("chosen", "ends"),
    [
        (Choices(), []),
        (Choices(link_strength=LINK_STRENGTHS[0]), ["link_strength"]),
        (Choices(link_strength=LINK_STRENGTHS[1]), []),
        (Choices(link_strength=LINK_STRENGTHS[-2]), []),
        (Choices(link_strength=LINK_STRENGTHS[-1]), ["link_strength"]),
        (Choices(temperature=COOLEST), ["temperature"]),
        (Choices(temperature=float(TEMPERATURES[1])), []),
        (Choices(temperature=float(TEMPERATURES[-2])), []),
        (Choices(temperature=HOTTEST), ["temperature"]),
        # No boost is not an end, and neither is no cosine.
        (Choices(cold_item_boost=COLD_ITEM_BOOSTS[0]), []),
        (Choices(cold_item_boost=COLD_ITEM_BOOSTS[-2]), []),
        (Choices(cold_item_boost=COLD_ITEM_BOOSTS[-1]), ["cold_item_boost"]),
        (Choices(w_cos=COSINES[0]), []),
        (Choices(w_cos=COSINES[-2]), []),
        (Choices(w_cos=COSINES[-1]), ["w_cos"]),
        # The stored value was divided by the temperature.
        (Choices(temperature=1.7, w_cos=COSINES[-1] / 1.7), ["w_cos"]),
        (Choices(temperature=1.7, w_cos=COSINES[-1]), []),
        (
            Choices(LINK_STRENGTHS[-1], HOTTEST, COLD_ITEM_BOOSTS[-1], COSINES[-1] / HOTTEST),
            ["link_strength", "temperature", "cold_item_boost", "w_cos"],
        ),
    ],
)
def test_a_choice_at_the_end_of_its_grid_is_named(chosen: Choices, ends: list[str]) -> None:
    assert chosen.at_grid_ends() == ends


def test_the_end_of_the_grid_is_recognised_in_the_stored_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for weight, ends in ((COSINES[-1], True), (COSINES[-2], False)):
        monkeypatch.setattr(choosing, "cosine_weight", lambda *_, weight=weight: weight)
        chosen, _ = choose(linked_shop(wanted=1), 0.005)
        assert chosen.temperature != 1.0
        assert ("w_cos" in chosen.at_grid_ends()) == ends
