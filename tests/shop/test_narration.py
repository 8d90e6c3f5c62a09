"""What the demo prints: what three customers did and get and why, the metrics, and the path of the lists."""

from __future__ import annotations

import pytest

from recsys_spark.shop.narration import WIDTH, narrate
from recsys_spark.shop.showcase import Person
from tests.shop.metric_rows import metric

LONG_TITLE = "A Very Long Title " * 20


def person(**changes: object) -> Person:
    base = {
        "user_id": "anna",
        "about": "a regular customer",
        "source": "history",
        "tags": ["coffee"],
        "friends": ["u7"],
        "n_behaviours": 40,
        "history": [{"title": "Milk Frother", "behaviour": "purchase", "days_ago": 12.7}],
        "recommendations": [
            {
                "rank": 1,
                "title": "Espresso Machine",
                "score": -1.25,
                "cosine": 0.75,
                "log_prob": -2.0,
                "reasons": ["purchase of Milk Frother"],
            }
        ],
    }
    return Person(**{**base, **changes})


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
        about="an unknown customer",
        source=None,
        tags=[],
        friends=[],
        n_behaviours=0,
        history=[],
        recommendations=[],
    )
    text = narrate([person(), nobody], [], "x")
    assert "anna, a regular customer: list from source `history`" in text
    assert "chloe, an unknown customer: no list" in text
    assert "none yet" in text


def test_metrics_stand_beside_the_baselines_with_intervals():
    metrics = [
        metric("recsys-spark", 0.25),
        metric("recsys-spark", 0.6, name="coverage", interval=False),
        metric("popularity", 0.05),
        metric("recsys-spark", 0.17, segment="profile"),
        metric("recsys-spark", 0.9, segment="heavy"),
    ]
    text = narrate([], metrics, "/store/out")
    assert line_with(text, "[0.230, 0.270]").split() == ["recsys-spark", "0.250", "[0.230,", "0.270]", "0.600"]
    assert line_with(text, "popularity").split() == ["popularity", "0.050", "[0.030,", "0.070]", "-"]
    assert line_with(text, "recall@10  ").split() == ["recall@10", "coverage@10"]
    assert "521 users" in text
    assert "known only by tags or friends" in text
    assert "0.900" not in text
    assert text.endswith("/store/out")


def test_no_backtest_is_said_and_not_hidden():
    assert "no backtest" in narrate([person()], [], "x")


def test_no_line_is_wider_than_a_terminal():
    item = {**person()["recommendations"][0], "title": LONG_TITLE, "reasons": [LONG_TITLE]}
    event = {"title": LONG_TITLE, "behaviour": "browse", "days_ago": 1.0}
    text = narrate([person(recommendations=[item], history=[event], tags=[LONG_TITLE])], [metric("als", 0.1)], "x")
    assert max(map(len, text.splitlines())) <= WIDTH
