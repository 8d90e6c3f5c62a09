"""Histories, social items and popularity of the quality benchmark against cases by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.quality.data import World
from benchmarks.quality.methods import Texts
from benchmarks.quality.profiles import decayed_popularity, input_table, recent, social, undecayed
from recsys_spark.config.sections import Behaviours
from tests.benchmarks.quality.world import world_of


def weighed(world: World, **behaviours: object) -> World:
    described = replace(world.settings, behaviours=Behaviours(**behaviours))  # type: ignore[arg-type]
    return replace(world, settings=described)


def test_history_is_the_newest_first_by_weight_then_item_and_ignores_weight_zero() -> None:
    world = world_of([(0, 3, 5.0), (0, 1, 5.0), (0, 2, 9.0), (0, 0, 5.0), (1, 4, 1.0)])
    world = replace(world, rows=replace(world.rows, value=np.array([1.0, 1.0, 2.0, 3.0, 0.0])))
    world = weighed(world, weights={"play": 2.0}, value_transform="linear", half_life_days=None, max_history=3)
    assert undecayed(world).tolist() == [2.0, 2.0, 4.0, 6.0, 0.0]
    chosen, offsets = recent(world)
    assert world.rows.item[chosen].tolist() == [2, 0, 1]
    assert offsets.tolist() == [0, 3, 3, 3]


def test_popularity_and_history_decay_with_their_own_half_lives() -> None:
    day = 86_400.0
    world = weighed(world_of([(0, 0, 0.0), (0, 1, 10 * day - 1)]), weights={"play": 1.0}, half_life_days=5.0)
    world = replace(world, settings=replace(world.settings, popular_half_life_days=10.0))
    np.testing.assert_allclose(decayed_popularity(world)[:2], [0.5, 1.0], rtol=1e-4)
    items, users = ((np.zeros((n, 2), np.float32), np.zeros(n, bool)) for n in (6, 3))
    row = input_table(world, Texts(*items, *users)).slice(0, 1).to_pylist()[0]
    assert row["items"] == ["i1", "i0"]
    np.testing.assert_allclose(row["weights"], [1.0, 0.25], rtol=1e-4)
    assert row["vector"] is None


def test_social_items_are_shares_of_the_friends_taste() -> None:
    rows = [(1, 0, 1.0), (1, 0, 2.0), (1, 1, 3.0), (2, 1, 1.0)]
    world = weighed(world_of(rows), weights={"play": 1.0}, half_life_days=None)
    world = replace(world, friends=np.array([[0, 2], [0, 1], [0, 0], [1, 1], [1, 2], [0, 1]]))
    items, weights, offsets = social(world)
    # u0: of u1 two thirds i0 and one third i1, of u2 all i1; a friend listed twice is one, and nobody is his own.
    assert offsets.tolist() == [0, 2, 3, 3]
    assert items.tolist() == [1, 0, 1]
    np.testing.assert_allclose(weights, [4 / 3, 2 / 3, 1.0])
