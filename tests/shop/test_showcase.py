"""What the demo shows of a run: three customers, and the metrics at one cut-off."""

from __future__ import annotations

from pyspark.sql import SparkSession

from recsys_spark.shop.showcase import SHOWCASE, metrics_of, people_of
from recsys_spark.tables import ITEM_PROFILES, METRICS, RECOMMENDATIONS, USER_PROFILES
from tests.builders import AS_OF, frame, interaction
from tests.shop.metric_rows import metric


def test_people_come_from_the_tables(spark: SparkSession):
    history = [
        {
            key: value
            for key, value in interaction(item=item, days_ago=days).items()
            if key in ("item_id", "behaviour", "ts")
        }
        | {"weight": 1.0}
        for item, days in (("i1", 2.0), ("i2", 3.0), ("i3", 4.0))
    ]
    profiles = [
        {"user_id": "anna", "history": history, "n_behaviours": 3, "interest_tags": [], "neighbours": []},
        {
            "user_id": "bruno",
            "history": [],
            "n_behaviours": 0,
            "neighbours": [{"user_id": "u7", "weight": 1.0}],
            "interest_tags": [
                {"tag": "tea", "weight": 1.0, "origin": "given"},
                {"tag": "pots", "weight": 0.5, "origin": "derived"},
            ],
        },
        {"user_id": "other", "history": history, "n_behaviours": 3},
    ]
    lists = [
        {
            "user_id": user,
            "rank": rank,
            "item_id": item,
            "score": -rank,
            "cosine": 0.0,
            "log_prob": -1.0,
            "source": source,
        }
        for user, source in (("anna", "history"), ("bruno", "profile"), ("chloe", "popular"), ("other", "history"))
        for rank, item in ((2, "i5"), (1, "i4"), (3, "no profile"))
    ]
    tables = {
        "user_profiles": frame(spark, USER_PROFILES, profiles),
        "item_profiles": frame(
            spark, ITEM_PROFILES, [{"item_id": f"i{n}", "title": f"Title {n}"} for n in range(1, 6)]
        ),
        "recommendations": frame(
            spark, RECOMMENDATIONS, [{**row, "score": float(row["score"]), "reasons": None} for row in lists]
        ),
    }
    anna, bruno, chloe = people_of(tables, SHOWCASE, as_of=AS_OF, n_history=2, n_items=3)
    assert [(e["title"], e["days_ago"]) for e in anna["history"]] == [("Title 1", 2.0), ("Title 2", 3.0)]
    assert anna["n_behaviours"] == 3
    assert [(r["rank"], r["title"]) for r in anna["recommendations"]] == [
        (1, "Title 4"),
        (2, "Title 5"),
        (3, "no profile"),
    ]
    assert (bruno["source"], bruno["tags"], bruno["friends"]) == ("profile", ["tea"], ["u7"])
    assert (chloe["source"], chloe["history"], chloe["n_behaviours"]) == ("popular", [], 0)
    assert [person["user_id"] for person in (anna, bruno, chloe)] == ["anna", "bruno", "chloe"]


def test_metrics_are_those_of_one_cut_off_with_our_model_first(spark: SparkSession):
    rows = [
        metric("als", 0.1),
        metric("recsys-spark", 0.2, name="coverage"),
        metric("recsys-spark", 0.3),
        {**metric("als", 0.4), "k": 20},
    ]
    found = metrics_of(frame(spark, METRICS, rows), k=10)
    assert [(m["model"], m["metric"], m["value"]) for m in found] == [
        ("recsys-spark", "recall", 0.3),
        ("recsys-spark", "coverage", 0.2),
        ("als", "recall", 0.1),
    ]
