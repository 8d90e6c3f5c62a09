"""The world behind the shop, in numpy alone: catalogue arithmetic, tastes, behaviours, dirt."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from recsys_spark.shop import catalogue, people
from recsys_spark.shop.behaviours import World, behaviour_rows, dirt_counts
from recsys_spark.shop.items import dirty_item_rows, item_rows, n_dirty_items
from recsys_spark.shop.topics import TOPICS
from recsys_spark.shop.users import user_rows

WORLD = World(n_users=600, n_items=430, n_behaviours=20_000, seed=3, end=date(2026, 6, 1))
USERS = np.arange(WORLD.n_users)


@pytest.fixture(scope="module")
def clean() -> pd.DataFrame:
    """Clean behaviours, with `user` and `item` indices in addition to the ids."""
    frame = behaviour_rows(np.arange(WORLD.n_behaviours), WORLD)
    user_of = {name: n for n, name in enumerate(people.user_ids(USERS, WORLD.n_users))}
    item_of = {name: n for n, name in enumerate(catalogue.item_ids(np.arange(WORLD.n_items), WORLD.n_items))}
    return frame.assign(user=frame.customer.map(user_of), item=frame.sku.map(item_of))


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return item_rows(np.arange(WORLD.n_items), WORLD.seed, WORLD.n_items)


@pytest.mark.parametrize("n_items", [60, 399, 400, 430, 2021])
def test_ranks_address_every_item_that_is_not_new_exactly_once(n_items: int):
    counts = catalogue.counts(n_items)
    found = [
        catalogue.index_of(np.full(n, topic), np.full(n, department), np.arange(n))
        for topic in range(catalogue.N_TOPICS)
        for department, n in enumerate(counts[topic])
    ]
    everything = np.arange(n_items)
    assert sorted(np.concatenate(found).tolist()) == everything[~catalogue.is_new(everything)].tolist()
    assert (counts > 0).all()


def test_rows_are_clean_whole_and_in_the_past(clean: pd.DataFrame):
    assert clean[["customer", "sku", "event", "at_ms", "user", "item"]].notna().all().all()
    end_ms = datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000
    assert clean.at_ms.max() < end_ms
    assert clean.at_ms.min() >= end_ms - people.HISTORY_DAYS * 86_400_000
    assert not clean.duplicated().any()
    assert clean.quantity.isna().equals(clean.event == "browse")


def test_funnel_goes_from_browse_to_cart_to_purchase(clean: pd.DataFrame):
    counts = clean.event.value_counts()
    assert counts["browse"] > counts["cart"] > counts["purchase"] > 0
    first = clean.pivot_table(index=["user", "item"], columns="event", values="at_ms", aggfunc="min").dropna()
    assert len(first) > 100
    assert (first.browse < first.cart).all()
    assert (first.cart < first.purchase).all()


def test_behaviours_concentrate_on_the_planted_tastes(clean: pd.DataFrame):
    likes = people.tastes(WORLD.seed, USERS)
    topics = catalogue.topic_of(clean.item.to_numpy())
    liked = ((likes.topics[clean.user] == topics[:, None]) & (likes.weights[clean.user] > 0)).any(axis=1)
    shuffled = np.random.default_rng(0).permutation(topics)
    by_chance = ((likes.topics[clean.user] == shuffled[:, None]) & (likes.weights[clean.user] > 0)).any(axis=1)
    assert 0.75 < liked.mean() < 0.9
    assert by_chance.mean() < 0.3


def test_sessions_stay_with_one_family_of_things(clean: pd.DataFrame):
    family = catalogue.family_of(catalogue.thing_of(WORLD.seed, clean.item.to_numpy()))
    session = clean.customer + (clean.at_ms // 86_400_000).astype(str)
    step = pd.DataFrame({"session": session, "item": clean.item, "family": family})
    step = step.drop_duplicates(["session", "item"]).sort_values("session", kind="stable")
    same_session = (step.session == step.session.shift()).to_numpy()[1:]
    same_family = (step.family == step.family.shift()).to_numpy()[1:]
    assert same_family[same_session].mean() > same_family[~same_session].mean() + 0.05


def test_friends_share_tastes():
    first = people.tastes(WORLD.seed, USERS).topics[:, 0]
    friends = people.friends(WORLD.seed, USERS, 0, WORLD.n_users)
    assert (friends != USERS).all()
    assert (friends < people.n_active(WORLD.n_users)).all()
    assert (first[friends] == first).mean() > 0.7


def test_interest_tags_agree_with_tastes():
    likes = people.tastes(WORLD.seed, USERS)
    frame = user_rows(USERS, WORLD)
    right = [
        any(tag in TOPICS[t].tags for t in likes.topics[user])
        for user, tags in enumerate(frame.interests)
        for tag in tags or []
    ]
    assert np.mean(right) > 0.8


def test_showcase_has_one_rich_one_cold_and_one_unknown_user(clean: pd.DataFrame):
    where = people.showcase(WORLD.n_users)
    index = np.array([where[people.RICH], where[people.COLD], where[people.UNKNOWN]])
    assert people.user_ids(index, WORLD.n_users) == ["anna", "bruno", "chloe"]
    n_rows = [int((clean.customer == name).sum()) for name in ("anna", "bruno", "chloe")]
    assert n_rows[0] > 20
    assert n_rows[1:] == [0, 0]
    assert people.has_tags(WORLD.seed, index, WORLD.n_users).tolist()[1:] == [True, False]
    assert (people.n_friends(WORLD.seed, index, WORLD.n_users)[1:] > 0).tolist() == [True, False]


def test_cold_users_of_every_kind_exist(clean: pd.DataFrame):
    cold = USERS[people.n_active(WORLD.n_users) :]
    assert not clean.user.isin(cold).any()
    tags = people.has_tags(WORLD.seed, cold, WORLD.n_users)
    friends = people.n_friends(WORLD.seed, cold, WORLD.n_users) > 0
    assert set(zip(tags.tolist(), friends.tolist(), strict=True)) == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }


def test_one_item_in_twenty_is_new_and_untouched(clean: pd.DataFrame):
    new = np.flatnonzero(catalogue.is_new(np.arange(WORLD.n_items)))
    assert len(new) / WORLD.n_items == pytest.approx(0.05, abs=0.01)
    assert not clean.item.isin(new).any()
    assert clean.item.nunique() > 0.85 * WORLD.n_items


def test_items_are_of_two_departments_with_mostly_unique_titles(items: pd.DataFrame):
    assert items.dept.value_counts(normalize=True)["academy"] == pytest.approx(0.3, abs=0.05)
    assert items.name.nunique() > 0.98 * len(items)
    assert items.sku.is_unique
    assert items[["category", "labels", "level", "blurb"]].notna().all().all()
    assert items.name.str.contains("&amp;|&eacute;|<b>", regex=True).mean() > 0.03


def test_titles_stay_unique_in_a_large_catalogue():
    names = item_rows(np.arange(1_000_000, 1_005_000), 3, 2_000_000).name
    assert names.nunique() == len(names)


def test_dirt_is_what_dirt_counts_says():
    kinds = dirt_counts(WORLD.n_behaviours)
    total = WORLD.n_behaviours + sum(kinds.values())
    rows = behaviour_rows(np.arange(total), WORLD)
    dirty = rows.iloc[WORLD.n_behaviours :]
    known = set(catalogue.item_ids(np.arange(WORLD.n_items), WORLD.n_items))
    assert rows.duplicated().sum() == kinds["exact_duplicate"] == 200
    assert dirty.customer.isna().sum() == kinds["null_user"] == 20
    assert (dirty.sku == "").sum() == kinds["empty_item"] == 20
    assert (~dirty.sku.isin(known | {""})).sum() == kinds["unknown_item"] == 60
    assert (dirty.at_ms > 30_000_000_000_000).sum() == kinds["future"] == 20
    assert dirty.at_ms.isna().sum() == kinds["null_time"] == 20
    assert (dirty.quantity < 0).sum() == kinds["negative"] == 20


def test_dirty_items_repeat_ids_with_the_same_and_with_another_text(items: pd.DataFrame):
    kinds = n_dirty_items(WORLD.n_items)
    dirty = dirty_item_rows(np.arange(sum(kinds.values())), WORLD.seed, WORLD.n_items)
    both = pd.concat([items, dirty])
    assert both.astype(str).duplicated().sum() == kinds["exact_duplicate"] > 0
    assert (both.sku == "").sum() == kinds["empty_id"] > 0
    texts = both[both.sku != ""].groupby("sku").name.nunique()
    assert (texts > 1).sum() == kinds["duplicate_id"] > 0
