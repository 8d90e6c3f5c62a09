"""What encoders are compared on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys_spark import contract, tables
from recsys_spark.config.sections import Config
from recsys_spark.encoder_choice.inputs import Inputs, has_profiles, profile_inputs
from recsys_spark.encoder_choice.probe import Probe
from recsys_spark.encoder_choice.sample import HISTORY_ITEMS, Sample, _that_fit, draw_sample
from recsys_spark.encoding.embed import profile_texts
from recsys_spark.errors import DataError
from recsys_spark.pipeline import run_pipeline
from tests.builders import AS_OF, config, frame, interaction
from tests.e2e.small_shop import RUN_DATE, load, write_shop

CFG = config(behaviours={"half_life_days": 10.0})


def inputs(spark: SparkSession, events: list[dict[str, Any]], texts: dict[str, str | None]) -> Inputs:
    profiles = spark.createDataFrame(list(texts.items()), "item_id string, text string")
    users = spark.createDataFrame([("jazz",), (None,), ("jazz",)], "text string")
    return Inputs(frame(spark, contract.INTERACTIONS, events), profiles, users, "a test")


def drawn(given: Inputs, cfg: Config = CFG, *, texts: int = 100, users: int = 100, items: int = 100) -> Sample:
    return draw_sample(given, cfg, as_of=AS_OF, n_texts=texts, n_users=users, n_items=items)


def rows(probe: Probe) -> list[tuple[int, dict[int, float], list[int]]]:
    """(target, weight by history item, seen items) of each user, sorted."""
    found = []
    for user, target in enumerate(probe.targets.tolist()):
        past = slice(*probe.history_offsets[user : user + 2])
        weights = dict(zip(probe.history_items[past].tolist(), probe.history_weights[past].tolist(), strict=True))
        found.append((target, weights, probe.seen_items[slice(*probe.seen_offsets[user : user + 2])].tolist()))
    return sorted(found, key=lambda row: row[0])


def test_the_target_is_the_last_item_and_the_history_what_came_before(spark: SparkSession) -> None:
    events = [
        interaction("u1", "b", days_ago=21),
        interaction("u1", "a", days_ago=11, behaviour="purchase"),
        interaction("u1", "d", days_ago=5),
        # Seen before as well, so it would give the answer away.
        interaction("u1", "d", days_ago=30),
        # Two last ones at one time: the greater id.
        interaction("u2", "c", days_ago=2),
        interaction("u2", "b", days_ago=2),
        # One item with text only.
        interaction("u3", "a", days_ago=1),
        interaction("u3", "bare", days_ago=2),
    ]
    sample = drawn(inputs(spark, events, {"a": "A", "b": "B", "c": "C", "d": "D", "bare": None}))
    # Half as heavy per 10 days, from the newest of the history on; a purchase weighs 3.
    assert rows(sample.probe) == [(2, {1: 1.0}, [1]), (3, {0: 3.0, 1: pytest.approx(0.5)}, [0, 1])]
    assert sample.probe.n_items == sample.n_items_with_text == 4
    assert len(sample.user_hashes) == 2
    assert sample.remedy == "No more users have two items with text."


def test_a_behaviour_of_weight_0_is_seen_but_not_in_the_history(spark: SparkSession) -> None:
    cfg = config(behaviours={"weights": {"browse": 1.0, "purchase": 0.0}})
    events = [
        interaction("u1", "a", days_ago=3, behaviour="purchase"),
        interaction("u1", "b", days_ago=2),
        interaction("u1", "c", days_ago=1),
        interaction("u2", "a", days_ago=3, behaviour="purchase"),
        interaction("u2", "b", days_ago=2),
    ]
    sample = drawn(inputs(spark, events, {"a": "A", "b": "B", "c": "C"}), cfg)
    assert rows(sample.probe) == [(2, {1: 1.0}, [0, 1])]


def test_items_of_one_text_share_it(spark: SparkSession) -> None:
    sample = drawn(inputs(spark, [], {"b": "same", "a": "other", "c": "same"}))
    assert [sample.texts.catalogue_texts[t] for t in sample.probe.text_of_item] == ["other", "same", "same"]
    assert sorted(sample.texts.item_texts) == ["other", "same"]
    assert sample.texts.user_texts == ["jazz"]
    assert sample.probe.n_users == 0


def test_a_large_catalogue_is_cut_to_whole_users_and_filled_up(spark: SparkSession) -> None:
    events = [interaction(f"u{u}", f"i{u}-{n:02}", days_ago=n + 1) for u in range(3) for n in range(HISTORY_ITEMS + 3)]
    texts: dict[str, str | None] = {f"i{u}-{n:02}": f"t{u}-{n}" for u in range(3) for n in range(HISTORY_ITEMS + 3)}
    texts |= {f"other{n}": f"o{n}" for n in range(50)}
    given = inputs(spark, events, texts)
    cut = drawn(given, items=2 * (HISTORY_ITEMS + 1) - 1)
    assert (cut.probe.n_items, cut.probe.n_users, cut.n_items_with_text) == (2 * HISTORY_ITEMS + 1, 1, 89)
    assert len(rows(cut.probe)[0][1]) >= HISTORY_ITEMS
    assert "--items" in cut.remedy
    whole = drawn(given, users=2)
    assert (whole.probe.n_items, whole.probe.n_users) == (89, 2)
    assert "--users" in whole.remedy


@pytest.mark.parametrize(("n_items", "n_users"), [(2, 0), (3, 1), (4, 1), (5, 2), (6, 2)])
def test_users_fit_whole_or_not_at_all(n_items: int, n_users: int) -> None:
    users = [Row(user_id="u1", item_id="a"), Row(user_id="u2", item_id="d")]
    histories = {"u1": [("b", 1.0), ("c", 1.0)], "u2": [("a", 1.0), ("e", 1.0)]}
    asked, catalogue = _that_fit(users, histories, ["x", "b", "y", "z", "v", "w"], n_items)
    assert [user.user_id for user in asked] == ["u1", "u2"][:n_users]
    assert len(catalogue) == n_items
    assert catalogue >= [set(), set("abc"), set("abcde")][n_users]


def test_the_same_data_give_the_same_sample_and_another_seed_another(spark: SparkSession) -> None:
    texts: dict[str, str | None] = {f"i{n}": f"text {n}" for n in range(40)}
    events = [interaction(f"u{n}", f"i{n + d}", days_ago=d + 1) for n in range(20) for d in range(3)]
    given = inputs(spark, events, texts)
    again = Inputs(given.interactions.repartition(5), given.item_profiles.repartition(4), given.user_profiles, "x")
    first, second = (drawn(g, texts=10, users=5, items=12) for g in (given, again))
    assert (len(first.texts.item_texts) + len(first.texts.user_texts), first.probe.n_items) == (10, 12)
    assert first.texts == second.texts
    assert rows(first.probe) == rows(second.probe)
    other = drawn(given, config(run={"seed": 5}), texts=10, users=5, items=12)
    assert other.texts.item_texts != first.texts.item_texts
    assert set(other.user_hashes.tolist()) != set(first.user_hashes.tolist())


def test_a_catalogue_without_a_text_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="No item has a text"):
        drawn(inputs(spark, [], {"a": None}))


def test_texts_equal_the_texts_of_the_embed_stage_stored_or_not(spark: SparkSession, tmp_path: Path) -> None:
    cfg, day = load(write_shop(tmp_path)), date.fromisoformat(RUN_DATE)
    with profile_inputs(spark, cfg, day) as found:
        fresh = drawn(found, cfg)
    assert not (tmp_path / "store" / "runs").exists(), "a comparison leaves nothing in the store"
    ctx = run_pipeline(spark, cfg, RUN_DATE, stages=("ingest", "profiles"))
    with profile_inputs(spark, cfg, day) as found:
        stored = drawn(found, cfg)
    assert (fresh.origin, stored.origin) == ("the sources", f"the profiles of the run of {RUN_DATE}")
    assert fresh.texts == stored.texts
    assert rows(fresh.probe) == rows(stored.probe)
    assert np.array_equal(fresh.user_hashes, stored.user_hashes)
    profiles = (ctx.table("profiles", t) for t in (tables.USER_PROFILES, tables.ITEM_PROFILES))
    assert sorted(stored.texts.item_texts + stored.texts.user_texts) == _texts(profile_texts(*profiles, cfg))
    other = replace(ctx, cfg=load(tmp_path / "shop.toml", profiles__max_tags=3))
    assert [has_profiles(ctx), has_profiles(other)] == [True, False]


def _texts(texts: DataFrame) -> list[str]:
    return sorted(row.text for row in texts.select(F.col("text")).collect())
