"""Item profiles: exact counts and popularity, deterministic text, and what a source may throw at them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.contract import INTERACTIONS, ITEMS
from recsys_spark.errors import ConfigError
from recsys_spark.profiles.items import build_item_profiles
from recsys_spark.tables import ITEM_PROFILES
from tests.builders import AS_OF, config, frame, interaction, item

CFG = config(
    behaviours={"weights": {"browse": 1.0, "purchase": 3.0}, "value_transform": "linear"},
    rerank={"popular_half_life_days": 10},
    encoder={"item_prefix": "passage: "},
)


def profiles(spark: SparkSession, items: list[Any], interactions: list[Any], cfg: Any = CFG) -> dict[str, Any]:
    built = build_item_profiles(frame(spark, ITEMS, items), frame(spark, INTERACTIONS, interactions), cfg, as_of=AS_OF)
    return {row["item_id"]: row for row in built.collect()}


def test_counts_and_popularity_are_exact(spark: SparkSession) -> None:
    rows = [
        interaction("u1", "i1", "browse", 10),
        interaction("u1", "i1", "purchase", 20, value=100.0),
        interaction("u2", "i1", "browse", 30),
    ]

    found = profiles(spark, [item("i1"), item("i2", available=False)], rows)

    warm, cold = found["i1"], found["i2"]
    assert (warm["n_behaviours"], warm["n_users"], warm["is_cold"], warm["available"]) == (3, 2, False, True)
    assert warm["popularity"] == pytest.approx(0.5 + 3 * 0.25 + 0.125, rel=1e-12)
    assert (cold["n_behaviours"], cold["n_users"], cold["popularity"], cold["is_cold"]) == (0, 0, 0.0, True)
    assert cold["available"] is False


def test_popularity_orders_data_that_ended_long_before_as_of(spark: SparkSession) -> None:
    rows = [interaction("u1", "i1", days_ago=5000), interaction("u1", "i2", days_ago=5010)]

    found = profiles(spark, [item("i1"), item("i2")], rows)

    scaled = [found[i]["popularity"] * 2.0**500 for i in ("i1", "i2")]
    assert scaled == pytest.approx([1.0, 0.5], rel=1e-9)


def test_text_is_composed_from_cleaned_fields_and_hashed_with_its_prefix(spark: SparkSession) -> None:
    dirty = item(
        "i1",
        "Dune &amp;amp; <b>Sand</b>",
        description="A\u200b long\tstory",
        category="Book",
        tags=["spice", "Desert", "desert", None, ""],
        attributes={"pages": "412", "author": "Herbert", "colour": None, "size": " "},
    )

    row = profiles(spark, [dirty], [])["i1"]

    text = "Dune & Sand. Book. Desert, spice. author Herbert, pages 412. A long story"
    assert row["text"] == text
    assert row["content_hash"] == hashlib.sha256(f"passage: {text}".encode()).hexdigest()
    assert (row["title"], row["category"], row["tags"]) == ("Dune & Sand", "Book", ["Desert", "spice"])


def test_an_item_without_text_has_no_hash_and_shows_its_id(spark: SparkSession) -> None:
    row = profiles(spark, [item("商品1", " \u200b<br>")], [])["商品1"]

    assert (row["title"], row["category"], row["tags"], row["text"], row["content_hash"]) == (
        "商品1",
        None,
        [],
        None,
        None,
    )


def test_text_of_any_length_is_cut_and_tags_are_limited(spark: SparkSession) -> None:
    cfg = config(profiles={"max_text_chars": 40, "max_tags": 2, "item_template": "{tags}. {description}"})
    long = item("i1", "x" * 1000, description="说明 " * 100_000, tags=["c", "b", "a"])

    row = profiles(spark, [long], [], cfg)["i1"]

    assert row["text"] == ("a, b. " + "说明 " * 20)[:40].rstrip()
    assert row["tags"] == ["a", "b", "c"]
    assert len(row["title"]) == 40


def test_same_profiles_whatever_the_partitions(spark: SparkSession) -> None:
    items = frame(spark, ITEMS, [item(f"i{n}", tags=["b", "a"]) for n in range(4)])
    rows = [interaction(f"u{n % 7}", f"i{n % 3}", days_ago=n / 7) for n in range(200)]
    interactions = frame(spark, INTERACTIONS, rows)

    def built(source: DataFrame) -> list[Any]:
        return sorted(build_item_profiles(items, source, CFG, as_of=AS_OF).collect())

    assert built(interactions.coalesce(1)) == built(interactions.repartition(7, "ts"))


def test_it_returns_the_contract_schema(spark: SparkSession) -> None:
    empty = build_item_profiles(
        frame(spark, ITEMS, []), frame(spark, INTERACTIONS, []), CFG, as_of=AS_OF + timedelta(days=1)
    )

    assert empty.schema.simpleString() == ITEM_PROFILES.schema.simpleString()
    assert empty.collect() == []


def test_a_misspelt_template_field_is_named() -> None:
    with pytest.raises(ConfigError, match=r"(?s)profiles.item_template.*\{titel\}.*did you mean \{title\}\?"):
        config(profiles={"item_template": "{titel}. {tags}"})


@pytest.mark.parametrize("template", ["{title", "{title!r}", "{title:>10}", "{}", "{0}", "{title.x}", "words only"])
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match=r"profiles\.item_template"):
        config(profiles={"item_template": template})
