"""User profiles: exact weights, total orders, limits that hold before the shuffle, and text that leaks nothing."""

from __future__ import annotations

import hashlib
from math import log
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.contract import INTERACTIONS, RELATIONS, USERS
from recsys_spark.profiles.users import (
    build_user_profiles,
    count_interactions,
    interest_tags,
    neighbours,
    recent_behaviours,
    recent_items,
    social_items,
)
from recsys_spark.tables import HISTORY, ITEM_PROFILES, USER_PROFILES
from tests.builders import AS_OF, config, frame, interaction

WEIGHTS = {"browse": 1.0, "purchase": 3.0, "ignored": 0.0}
CFG = config(behaviours={"weights": WEIGHTS, "half_life_days": 10, "max_history": 4})


def friend(user: str, other: str, weight: float | None = 1.0) -> dict[str, Any]:
    return {"user_id": user, "friend_id": other, "weight": weight}


def labels(item_id: str, category: str | None = None, *tags: str) -> dict[str, Any]:
    return {"item_id": item_id, "category": category, "tags": list(tags)}


def tables(spark: SparkSession, **rows: list[Any]) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame]:
    names = {"interactions": INTERACTIONS, "users": USERS, "relations": RELATIONS, "items": ITEM_PROFILES}
    interactions, users, relations, items = (frame(spark, t, rows.get(n, [])) for n, t in names.items())
    return interactions, users, relations, items


def profiles(spark: SparkSession, cfg: Any = CFG, **rows: list[Any]) -> dict[str, Any]:
    built = build_user_profiles(*tables(spark, **rows), cfg, as_of=AS_OF)
    return {row["user_id"]: row for row in built.collect()}


def history(spark: SparkSession, rows: list[Any], cfg: Any = CFG) -> list[Any]:
    return listed(recent_behaviours(frame(spark, INTERACTIONS, rows), cfg, as_of=AS_OF))


def suggested(spark: SparkSession, rows: list[Any], relations: list[Any], cfg: Any = CFG) -> list[Any]:
    taste = recent_items(recent_behaviours(frame(spark, INTERACTIONS, rows), cfg, as_of=AS_OF))
    return listed(social_items(neighbours(frame(spark, RELATIONS, relations), 20), taste, 50))


def listed(rows: DataFrame) -> list[Any]:
    """The rows of one user in the order they will have in his list."""
    return sorted(rows.collect(), key=lambda row: int(row["position"]))


def values(rows: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def plan(df: DataFrame, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    df.explain()
    return capsys.readouterr().out


def test_history_is_newest_first_with_decayed_weights(spark: SparkSession) -> None:
    rows = [
        interaction("u1", "old", "purchase", 40),
        interaction("u1", "a", "purchase", 20),
        interaction("u1", "b", "browse", 10),
        interaction("u1", "d", "browse", 5),
        interaction("u1", "c", "browse", 5),
        interaction("u1", "x", "ignored", 1),
    ]

    found = history(spark, rows)

    assert values(found, "item_id", "behaviour") == [
        ("c", "browse"),
        ("d", "browse"),
        ("b", "browse"),
        ("a", "purchase"),
    ]
    assert [h["weight"] for h in found] == pytest.approx([2**-0.5, 2**-0.5, 0.5, 0.75], rel=1e-12)


def test_at_one_time_the_stronger_behaviour_comes_first(spark: SparkSession) -> None:
    rows = [interaction("u1", "a", "browse", 1), interaction("u1", "z", "purchase", 1)]

    assert values(history(spark, rows), "item_id") == [("z",), ("a",)]


@pytest.mark.parametrize(
    ("transform", "expected"),
    # The third behaviour has value 0: of weight 0 under a transform, so it takes no place.
    [("none", [1.0, 1.0, 1.0]), ("linear", [4.0, 1.0]), ("log1p", [log(5), 1.0]), ("sqrt", [2.0, 1.0])],
)
def test_value_transform_scales_the_weight_and_null_counts_as_one(
    spark: SparkSession, transform: str, expected: list[float]
) -> None:
    cfg = config(
        behaviours={"value_transform": transform, "half_life_days": None, "weights": {}, "default_weight": 1.0}
    )
    rows = [interaction("u1", f"i{n}", "play", 1 + n, value=v) for n, v in enumerate([4.0, None, 0.0])]

    assert [h["weight"] for h in history(spark, rows, cfg)] == pytest.approx(expected, rel=1e-12)


def test_a_bot_is_cut_before_the_shuffle(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    bot = spark.range(20_000, numPartitions=4).selectExpr(
        "concat('bot', id % 1) as user_id",
        "concat('i', id % 9000) as item_id",
        "'browse' as behaviour",
        "timestamp_seconds(1700000000 + id % 300) as ts",
        "cast(null as double) as value",
    )

    recent = recent_behaviours(bot, CFG, as_of=AS_OF)
    counts = count_interactions(bot).collect()
    shown = plan(recent, capsys)

    assert values(counts, "user_id", "n_behaviours", "n_items") == [("bot0", 20_000, 9_000)]
    assert recent.count() == 4
    partial, shuffle, final = (
        shown.index(word) for word in (", 4, Partial", "Exchange hashpartitioning", ", 4, Final")
    )
    assert final < shuffle < partial, "explain prints the last operator first"


def test_a_user_with_many_relations_is_cut_before_the_shuffle(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    relations = frame(spark, RELATIONS, [friend("u1", "u2")])

    shown = plan(neighbours(relations, 7), capsys)

    assert shown.index("Exchange hashpartitioning") < shown.index(", 7, Partial")


def test_given_tags_come_first_and_derived_tags_do_not_decay(spark: SparkSession) -> None:
    interactions, users, _, items = tables(
        spark,
        interactions=[
            interaction("u1", "a", "purchase", 300),
            interaction("u1", "a", "browse", 200),
            interaction("u1", "b", "browse", 1),
        ],
        users=[{"user_id": "u1", "interest_tags": ["zen", "ZEN ", "<b>Art</b>", None]}],
        items=[labels("a", "Sport", "Running", "sport"), labels("b", None, "Chess", "Zen")],
    )
    taste = recent_items(recent_behaviours(interactions, CFG, as_of=AS_OF))

    found = listed(interest_tags(users, taste, items, CFG.profiles))

    assert values(found, "tag", "weight", "origin") == [
        ("Art", 1.0, "given"),
        ("ZEN", 1.0, "given"),
        ("Running", 1.0, "derived"),
        ("sport", 1.0, "derived"),
        ("Chess", 0.25, "derived"),
    ]


def test_text_holds_given_tags_only_and_is_hashed_with_its_prefix(spark: SparkSession) -> None:
    cfg = config(encoder={"user_prefix": "query: "}, profiles={"max_tags": 2})
    users = [
        {"user_id": "u1", "interest_tags": ["摇滚", "jazz", "zither"]},
        {"user_id": "u2", "interest_tags": ["\u200b"]},
        {"user_id": "u3"},
    ]
    items = [labels("a", "Sport", "Running")]

    found = profiles(spark, cfg, users=users, items=items, interactions=[interaction("u3", "a")])

    assert found["u1"]["text"] == "jazz, zither"
    assert found["u1"]["content_hash"] == hashlib.sha256(b"query: jazz, zither").hexdigest()
    assert (found["u2"]["text"], found["u2"]["content_hash"], found["u2"]["segment"]) == (None, None, "unknown")
    assert (found["u3"]["text"], found["u3"]["segment"]) == (None, "light")
    assert values(found["u3"]["interest_tags"], "tag") == [("Running",), ("Sport",)]


def test_neighbours_are_the_closest_and_nobody_is_his_own(spark: SparkSession) -> None:
    relations = [
        friend("u1", "far", 0.5),
        friend("u1", "b", None),
        friend("u1", "a", 1.0),
        friend("u1", "near", 2.0),
        friend("u1", "u1", 9.0),
    ]

    found = listed(neighbours(frame(spark, RELATIONS, relations), 3))

    assert values(found, "friend_id", "weight") == [("near", 2.0), ("a", 1.0), ("b", 1.0)]


def test_social_items_weigh_closeness_times_the_friends_share(spark: SparkSession) -> None:
    interactions = [
        interaction("f1", "shared", "purchase", 10),
        interaction("f1", "only1", "browse", 10),
        interaction("f2", "shared", "browse", 2000),
        interaction("f2", "only2", "purchase", 2000),
    ]

    found = suggested(spark, interactions, [friend("u1", "f1", 1.0), friend("u1", "f2", 4.0)])

    # The age of a friend's whole history does not count, only the shares within it: 3:1 and 1:3.
    assert values(found, "item_id", "friend_id") == [("only2", "f2"), ("shared", "f2"), ("only1", "f1")]
    assert [s["weight"] for s in found] == pytest.approx([3.0, 1.75, 0.25], rel=1e-12)


def test_equal_friends_are_named_by_id_and_each_suggests_ten_items(spark: SparkSession) -> None:
    cfg = config(behaviours={"max_history": 50})
    interactions = [interaction(f, f"i{n:02}") for f in ("f2", "f1") for n in range(20)]

    found = suggested(spark, interactions, [friend("u1", "f2"), friend("u1", "f1")], cfg)

    assert values(found, "item_id", "friend_id") == [(f"i{n:02}", "f1") for n in range(10)]
    assert [s["weight"] for s in found] == pytest.approx([0.2] * 10)


def test_everyone_known_from_anywhere_has_one_row(spark: SparkSession) -> None:
    built = build_user_profiles(
        *tables(
            spark,
            interactions=[interaction("a", "i1", "browse", 10), *(interaction("b", f"i{n}") for n in range(5))],
            users=[{"user_id": "b"}, {"user_id": "c"}],
            relations=[friend("d", "nobody"), friend("d", "a", 2.0), friend("e", "nobody")],
        ),
        CFG,
        as_of=AS_OF,
    )
    found = {row["user_id"]: row for row in built.collect()}

    assert built.schema.simpleString() == USER_PROFILES.schema.simpleString()
    assert {user: row["segment"] for user, row in found.items()} == {
        "a": "light",
        "b": "regular",
        "c": "unknown",
        "d": "profile",
        "e": "unknown",
    }
    ten_days_ago = interaction(days_ago=10)["ts"].replace(tzinfo=None)
    assert values(found["a"]["history"], *(f.name for f in HISTORY.elementType.fields)) == [
        ("i1", "browse", ten_days_ago, 0.5)
    ]
    assert found["a"]["last_ts"] == ten_days_ago
    assert (found["b"]["n_behaviours"], found["b"]["n_items"], len(found["b"]["history"])) == (5, 5, 4)
    assert values(found["d"]["neighbours"], "user_id", "weight") == [("a", 2.0), ("nobody", 1.0)]
    assert values(found["d"]["social_items"], "item_id", "weight", "friend_id") == [("i1", 2.0, "a")]
    assert tuple(found["c"][1:]) == ([], [], [], [], None, None, 0, 0, None, "unknown")


def test_same_profiles_whatever_the_partitions(spark: SparkSession) -> None:
    cfg = config(behaviours={"half_life_days": 7, "max_history": 20, "value_transform": "sqrt"})
    rows = [
        interaction(f"u{n % 5}", f"i{n % 17}", ("browse", "purchase")[n % 2], n / 9, value=float(n % 11))
        for n in range(300)
    ]
    interactions, users, relations, items = tables(
        spark,
        interactions=rows,
        relations=[friend(f"u{n}", f"u{m}", 0.1 * m) for n in range(5) for m in range(5)],
        items=[labels(f"i{n}", f"c{n % 3}", f"t{n % 4}", f"t{n % 5}") for n in range(17)],
    )

    def built(n_partitions: int) -> list[Any]:
        parts = [t.repartition(n_partitions, *t.columns[:2]) for t in (interactions, users, relations)]
        return sorted(build_user_profiles(*parts, items, cfg, as_of=AS_OF).collect())

    assert built(1) == built(7)
