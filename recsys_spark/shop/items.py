"""The items table: titles, categories, tags, attributes and descriptions that reveal the topic, and some dirt."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from recsys_spark.numerics.arrays import I64
from recsys_spark.shop import words
from recsys_spark.shop.catalogue import (
    COURSE,
    department_of,
    is_new,
    item_ids,
    launch_days_before_end,
    thing_of,
    tier_of,
    topic_of,
)
from recsys_spark.shop.draws import integers, pick, uniform
from recsys_spark.shop.topics import TOPICS, Topic

ITEMS_SCHEMA = (
    "sku string, name string, dept string, category string, labels string, brand string, colour string, "
    "teacher string, level string, blurb string, in_stock boolean, launched_days_ago int"
)
_MARKUP = ("<b>{}</b>", "{} <br/>", "  {}  ", "{}&nbsp;", "<span class='new'>New!</span> {}")
_NUMBERED_FROM = 10_000
"""From this index on, titles carry a number, because combinations of words run out."""


def item_rows(index: I64, seed: int, n_items: int) -> pd.DataFrame:
    """Return the items of these indices, columns of ITEMS_SCHEMA, without dirty rows (titles may hold markup)."""
    drawn = {
        name: integers(seed, f"item {name}", index, n).tolist()
        for name, n in {
            "brand": len(words.BRANDS),
            "teacher": len(words.TEACHERS),
            "colour": len(words.COLOURS),
            "make": 6,
            "size": 2,
            "form": 6,
            "tag": 6,
            "second tag": 5,
        }.items()
    }
    topics = pick(TOPICS, topic_of(index))
    courses = (department_of(index) == COURSE).tolist()
    tiers, things = tier_of(seed, index).tolist(), thing_of(seed, index).tolist()
    rows = [
        (_course if courses[n] else _product)(
            topics[n], tiers[n], things[n], {name: values[n] for name, values in drawn.items()}, number
        )
        for n, number in enumerate(index.tolist())
    ]
    frame = pd.DataFrame(rows)
    frame["name"] = _dirty_titles(frame["name"].tolist(), index, seed)
    frame["sku"] = item_ids(index, n_items)
    frame["in_stock"] = (uniform(seed, "in stock", index) >= 0.01) | is_new(index)
    launched = launch_days_before_end(seed, index)
    frame["launched_days_ago"] = pd.Series(launched).where(launched < 100_000).astype("Int32")
    return frame[[column.split()[0] for column in ITEMS_SCHEMA.split(", ")]]


def _product(topic: Topic, tier: int, thing: int, drawn: dict[str, int], number: int) -> dict[str, Any]:
    brand, make = words.BRANDS[drawn["brand"]], topic.makes[drawn["make"]]
    noun = words.SERIES[tier][0] + _without_repeats(make, topic.things[thing])
    size = topic.sizes[2 * (thing // 2) + drawn["size"]]
    forms = (f"{brand} {noun}, {size}", f"{noun} by {brand}, {size}", f"{brand} {noun} ({size})")
    return {
        "name": forms[drawn["form"] % 3] + _numbered(number, "Model"),
        "dept": "shop",
        "category": topic.shop_category,
        "labels": _labels(topic, topic.things[thing], drawn),
        "brand": brand,
        "colour": words.COLOURS[drawn["colour"]],
        "teacher": None,
        "level": words.RANGES[tier],
        "blurb": f"{topic.things[thing]} for {topic.purpose}. {words.FEATURES[drawn['form']]}.",
    }


def _course(topic: Topic, tier: int, thing: int, drawn: dict[str, int], number: int) -> dict[str, Any]:
    teacher, subject = words.TEACHERS[drawn["teacher"]], topic.subjects[thing]
    title = words.COURSE_TITLES[tier][drawn["form"] % 2].format(subject=subject)
    return {
        "name": f"{title} with {teacher}" + _numbered(number, "Course"),
        "dept": "academy",
        "category": f"Courses / {topic.course_category}",
        "labels": _labels(topic, subject, drawn),
        "brand": None,
        "colour": None,
        "teacher": teacher,
        "level": words.LEVELS[tier],
        "blurb": f"A course on {subject}, for {topic.purpose}. {words.FORMATS[drawn['form']]}.",
    }


def _without_repeats(make: str, thing: str) -> str:
    """Return the make in front of the thing, without a word twice ("Travel" + "Travel Bag")."""
    return " ".join([*(word for word in make.split() if word not in thing.split()), thing])


def _labels(topic: Topic, thing: str, drawn: dict[str, int]) -> str:
    """Return three tags as the shop exports them, with `;` between: the topic's first, another one, and the thing."""
    first = topic.tags[drawn["tag"]]
    second = topic.tags[(drawn["tag"] + 1 + drawn["second tag"]) % len(topic.tags)]
    return ";".join(dict.fromkeys([topic.tags[0], first, second, thing.lower()]))


def _numbered(number: int, word: str) -> str:
    return f", {word} {number}" if number >= _NUMBERED_FROM else ""


def _dirty_titles(titles: list[str], index: I64, seed: int) -> list[str]:
    """Return titles with entities in every second one that has an ampersand, apostrophe or accent, and markup in one of
    20."""
    escaped = (uniform(seed, "entities", index) < 0.5).tolist()
    marked = (uniform(seed, "markup", index) < 0.05).tolist()
    form = pick(_MARKUP, integers(seed, "markup form", index, len(_MARKUP)))
    dirty = []
    for n, title in enumerate(titles):
        text = html.escape(title).replace("é", "&eacute;") if escaped[n] else title
        dirty.append(form[n].format(text) if marked[n] else text)
    return dirty


def n_dirty_items(n_items: int) -> dict[str, int]:
    """Return how many dirty rows of each kind the items table gets."""
    return {
        "exact_duplicate": max(1, n_items // 100),
        "duplicate_id": max(1, n_items // 200),
        "empty_id": max(1, n_items // 400),
    }


def dirty_item_rows(ids: I64, seed: int, n_items: int) -> pd.DataFrame:
    """Return the dirty rows 0 .. sum(n_dirty_items): copies of the first items, some with another text or no id."""
    kinds = n_dirty_items(n_items)
    frame = item_rows(ids % n_items, seed, n_items)
    second = (ids >= kinds["exact_duplicate"]) & (ids < kinds["exact_duplicate"] + kinds["duplicate_id"])
    third = ids >= kinds["exact_duplicate"] + kinds["duplicate_id"]
    frame.loc[second, "name"] = frame.loc[second, "name"] + " (discontinued listing)"
    frame.loc[third, "sku"] = ""
    return frame
