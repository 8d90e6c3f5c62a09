"""The end of the demo: three users, what they did, get and why, the metrics, the path; and the folder it works in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.errors import ConfigError
from recsys_spark.shop import demo
from recsys_spark.shop.narration import WIDTH, Metric, Person, narrate
from recsys_spark.tables import ITEM_PROFILES, METRICS, RECOMMENDATIONS, USER_PROFILES
from tests.builders import AS_OF, frame, interaction

LONG_TITLE = "A Very Long Title " * 20


def person(**changes: object) -> Person:
    base = {
        "user_id": "anna", "about": "a regular", "source": "history", "tags": ["coffee"], "friends": ["u7"], "n_behaviours": 40,
        "history": [{"title": "Milk Frother", "behaviour": "purchase", "days_ago": 12.7}],
        "recommendations": [
            {
                "rank": 1, "title": "Espresso Machine", "score": -1.25, "cosine": 0.75, "log_prob": -2.0,
                "reasons": ["purchase of Milk Frother"],
            }
        ],
    }  # fmt: skip
    return Person(**{**base, **changes})


def metric(model: str, value: float, segment: str = "all", name: str = "recall", interval: bool = True) -> Metric:
    low, high = (value - 0.02, value + 0.02) if interval else (None, None)
    return Metric(model=model, segment=segment, metric=name, k=10, value=value, ci_low=low, ci_high=high, n_users=521)


def line_with(text: str, part: str) -> str:
    [line] = [line for line in text.splitlines() if part in line]
    return line


def test_a_list_line_shows_title_and_the_parts_of_the_score():
    text = narrate([person()], [], "/store/recommendations/run_date=2026-06-01")
    assert line_with(text, "Espresso Machine").split() == [
        "1",
        "Espresso",
        "Machine",
        "-1.25",
        "=",
        "0.75",
        "+",
        "-2.00",
    ]
    assert "score = cosine + log P" in text
    assert "purchase of Milk Frother" in text


def test_weights_other_than_one_are_shown_as_factors():
    text = narrate([person()], [], "x", w_cos=2.0, w_ce=0.5)
    assert "score = 2 x cosine + 0.5 x log P" in text
    assert "2 x  0.75 + 0.5 x  -2.00" in text
    assert "0.67 x cosine" in narrate([person()], [], "x", w_cos=2 / 3), "a model's choice has many digits"
    assert "cosine" not in narrate([person()], [], "x", w_cos=0.0)


def test_history_says_what_how_and_when_and_how_much_more_there_is():
    text = narrate([person()], [], "x")
    assert line_with(text, "12 days ago").split()[-3:] == ["purchase", "Milk", "Frother"]
    assert "and 39 more" in text


@pytest.mark.parametrize(("days", "words"), [(0.3, "today"), (1.5, "1 day ago"), (2.0, "2 days ago")])
def test_days_read_well(days: float, words: str):
    event = {"title": "T", "behaviour": "browse", "days_ago": days}
    assert words in narrate([person(history=[event])], [], "x")


def test_every_user_is_shown_even_one_with_nothing():
    nobody = person(
        user_id="chloe",
        about="unknown",
        source=None,
        tags=[],
        friends=[],
        n_behaviours=0,
        history=[],
        recommendations=[],
    )
    text = narrate([person(), nobody], [], "x")
    assert "anna, a regular: served by `history`" in text
    assert "chloe, unknown: got no list" in text
    assert "nothing yet" in text


def test_metrics_stand_beside_the_baselines_with_intervals():
    metrics = [
        metric("recsys-spark", 0.25), metric("recsys-spark", 0.6, name="coverage", interval=False),
        metric("popularity", 0.05), metric("recsys-spark", 0.17, segment="profile"), metric("recsys-spark", 0.9, segment="heavy"),
    ]  # fmt: skip
    text = narrate([], metrics, "/store/out")
    assert line_with(text, "[0.230, 0.270]").split() == ["recsys-spark", "0.250", "[0.230,", "0.270]", "0.600"]
    assert line_with(text, "popularity").split() == ["popularity", "0.050", "[0.030,", "0.070]", "-"]
    assert line_with(text, "recall@10  ").split() == ["recall@10", "coverage@10"]
    assert "521 users" in text
    assert "tags or friends only" in text
    assert "0.900" not in text
    assert text.endswith("/store/out")


def test_no_backtest_is_said_and_not_hidden():
    assert "no backtest" in narrate([person()], [], "x")


def test_no_line_is_wider_than_a_terminal():
    item = {**person()["recommendations"][0], "title": LONG_TITLE, "reasons": [LONG_TITLE]}
    event = {"title": LONG_TITLE, "behaviour": "browse", "days_ago": 1.0}
    text = narrate([person(recommendations=[item], history=[event], tags=[LONG_TITLE])], [metric("als", 0.1)], "x")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_people_are_gathered_from_the_tables(spark: SparkSession):
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
            "user_id": "bruno", "history": [], "n_behaviours": 0, "neighbours": [{"user_id": "u7", "weight": 1.0}],
            "interest_tags": [
                {"tag": "tea", "weight": 1.0, "origin": "given"}, {"tag": "pots", "weight": 0.5, "origin": "derived"},
            ],
        },
        {"user_id": "other", "history": history, "n_behaviours": 3},
    ]  # fmt: skip
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
    anna, bruno, chloe = demo.gather_people(tables, demo.SHOWCASE, as_of=AS_OF, n_history=2, n_items=3)
    assert [(e["title"], e["days_ago"]) for e in anna["history"]] == [("Title 1", 2.0), ("Title 2", 3.0)]
    assert anna["n_behaviours"] == 3
    assert [(r["rank"], r["title"]) for r in anna["recommendations"]] == [
        (1, "Title 4"),
        (2, "Title 5"),
        (3, "no profile"),
    ]
    assert (bruno["source"], bruno["tags"], bruno["friends"]) == ("profile", ["tea"], ["u7"])
    assert (chloe["source"], chloe["history"], chloe["n_behaviours"]) == ("popular", [], 0)
    assert all(name in narrate([anna, bruno, chloe], [], "x") for name in ("anna", "bruno", "chloe"))


def test_metrics_are_gathered_at_one_cut_off_with_our_model_first(spark: SparkSession):
    rows = [
        metric("als", 0.1), metric("recsys-spark", 0.2, name="coverage"), metric("recsys-spark", 0.3), {**metric("als", 0.4), "k": 20},
    ]  # fmt: skip
    found = demo.gather_metrics(frame(spark, METRICS, rows), k=10)
    assert [(m["model"], m["metric"], m["value"]) for m in found] == [
        ("recsys-spark", "recall", 0.3), ("recsys-spark", "coverage", 0.2), ("als", "recall", 0.1),
    ]  # fmt: skip


def test_an_edited_config_is_kept(tmp_path: Path):
    config = demo.place_config(tmp_path / "new")
    assert "[sources.behaviours]" in config.read_text()
    config.write_text("edited")
    assert demo.place_config(tmp_path / "new").read_text() == "edited"


def test_a_shop_is_generated_once_and_never_over_another(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []

    def generate(spark: SparkSession, out: str, **sizes: int) -> None:
        calls.append(sizes["n_users"])
        Path(out).mkdir(exist_ok=True)

    monkeypatch.setattr(demo, "generate_shop", generate)
    sizes = {"n_users": 100, "n_items": 60, "n_behaviours": 1000, "seed": 7}
    assert demo.ensure_shop(spark, tmp_path / "shop", sizes) is True
    assert demo.ensure_shop(spark, tmp_path / "shop", sizes) is False
    with pytest.raises(ConfigError, match="another --dir"):
        demo.ensure_shop(spark, tmp_path / "shop", {**sizes, "n_users": 200})
    assert calls == [100]
    assert json.loads((tmp_path / "shop/_GENERATED.json").read_text()) == sizes
