"""The quality benchmark's splits: what is hidden from whom, and how ties are broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality import data as quality_data
from benchmarks.quality.data import Taggings
from benchmarks.quality.split import PROTOCOLS, TEST, VALIDATION, split_last, validation_of
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from tests.benchmarks.quality.world import pairs, world_of


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_interaction_of_the_truth_is_in_train_nor_any_of_the_test_in_validation(protocol: str) -> None:
    world = tiny_world(Encoder(model="none"))
    test = PROTOCOLS[protocol](world, TEST)
    validation = validation_of(test)
    assert len(test.truth_user)
    assert len(validation.truth_user)
    for split, whole in ((test, world), (validation, test.train)):
        truth = set(zip(split.truth_user.tolist(), split.truth_item.tolist(), strict=True))
        assert len(truth) == len(split.truth_user)
        assert not truth & pairs(split.train)
        assert truth <= pairs(whole)
    hidden = set(zip(test.truth_user.tolist(), test.truth_item.tolist(), strict=True))
    assert not hidden & set(zip(validation.truth_user.tolist(), validation.truth_item.tolist(), strict=True))
    assert validation.purpose == VALIDATION


def test_time_split_trains_on_nothing_of_the_cut_or_after_it() -> None:
    rows = [(0, item, float(item)) for item in range(5)] + [(1, item, 4.0) for item in range(5)]
    split = PROTOCOLS["time"](world_of(rows), TEST)
    assert split.train.rows.time.max() < 4.0
    # u1 has nothing before the cut; i4 of u0 and all of u1 are at it.
    truth = sorted(zip(split.truth_user.tolist(), split.truth_item.tolist(), strict=True))
    assert truth == [(0, 4), *((1, item) for item in range(5))]


def test_an_item_seen_before_the_cut_is_no_truth_after_it() -> None:
    rows = [(0, 0, 0.0), (0, 1, 1.0), *[(1, 2, 2.0)] * 7, (0, 0, 9.0), (0, 3, 9.0)]
    split = PROTOCOLS["time"](world_of(rows), TEST)
    assert list(zip(split.truth_user, split.truth_item, strict=True)) == [(0, 3)]


def test_last_of_equal_times_is_the_greater_item_id() -> None:
    rows = [(0, 5, 1.0), (0, 2, 7.0), (0, 4, 7.0), (0, 3, 7.0), (1, 1, 1.0), (2, 0, 5.0), (2, 1, 3.0), (2, 0, 1.0)]
    split = split_last(world_of(rows), TEST)
    # u1 has one item and keeps it; both rows of u2 with i0 go, the early one too.
    assert list(zip(split.truth_user, split.truth_item, strict=True)) == [(0, 4), (2, 0)]
    assert pairs(split.train) == {(0, 5), (0, 2), (0, 3), (1, 1), (2, 1)}


def test_item_ids_are_compared_as_strings() -> None:
    _, items, _, item = quality_data.coded(["u"] * 2, ["9", "10"], [])
    world = replace(world_of([(0, 0, 1.0), (0, 1, 1.0)], 1, 2), items=items)
    assert items[split_last(world, TEST).truth_item].tolist() == ["9"]
    assert item.tolist() == [1, 0]


def test_hash_split_depends_on_ids_and_purpose_alone() -> None:
    world = tiny_world(Encoder(model="none"))
    order = np.random.default_rng(1).permutation(len(world.rows))
    shuffled = replace(world, rows=world.rows.take(order))
    one, other = (PROTOCOLS["hash"](some, TEST) for some in (world, shuffled))
    assert one.truth_item.tolist() == other.truth_item.tolist()
    assert one.truth_item.tolist() != PROTOCOLS["hash"](world, VALIDATION).truth_item.tolist()


def test_a_tag_on_a_held_out_item_or_after_the_cut_is_hidden_but_cold_users_keep_their_profile() -> None:
    rows = [(0, 0, 1.0), (0, 1, 2.0), (1, 2, 1.0), (1, 3, 9.0)]
    said = Taggings(
        np.array([0, 0, 1]), np.array([0, 1, 3]), np.array([1.0, 2.0, np.inf]), np.array(["a", "b", "c"], object)
    )
    world = replace(world_of(rows), taggings=said, profile_taggings=said)
    last = split_last(world, TEST).train
    assert last.taggings.tag.tolist() == last.profile_taggings.tag.tolist() == ["a"]
    assert PROTOCOLS["time"](world, TEST).train.taggings.tag.tolist() == ["a", "b"]
    split = PROTOCOLS["users"](tiny_world(Encoder(model="none")), TEST)
    cold = np.unique(split.truth_user)
    assert not np.isin(split.train.rows.user, cold).any()
    assert not np.isin(split.train.taggings.user, cold).any()
    assert np.isin(split.train.profile_taggings.user, cold).any()
