"""The text of an item: its cleaned fields in the order of the template, without empty parts."""

from __future__ import annotations

import pytest

from recsys_spark.profiles.kernels.composing import item_fields, item_text

TEMPLATE = "{title}. {category}. {tags}. {attributes}. {description}"
NOTHING = dict.fromkeys(("title", "category", "tags", "attributes", "description"), "")


def test_text_follows_the_template() -> None:
    fields = item_fields(
        title="Dune &amp; Sand",
        description="A <i>long</i> story",
        category="Book",
        tags=["desert", "spice"],
        attributes=["author Herbert", "pages 412"],
        max_chars=1000,
    )

    assert item_text(TEMPLATE, fields, 1000) == (
        "Dune & Sand. Book. desert, spice. author Herbert, pages 412. A long story"
    )


@pytest.mark.parametrize(
    ("filled", "text"),
    [
        ({"title": "Dune", "description": "Sand"}, "Dune. Sand"),
        ({"category": "Book"}, "Book"),
        ({"title": "Who?", "category": "Book"}, "Who? Book"),
        ({"title": "braces {title}", "tags": "{x}"}, "braces {title}. {x}"),
        ({}, None),
    ],
)
def test_an_empty_part_disappears_with_its_separator(filled: dict[str, str], text: str | None) -> None:
    assert item_text(TEMPLATE, NOTHING | filled, 1000) == text


def test_a_part_with_words_of_its_own_goes_as_a_whole() -> None:
    template = "Course {title}; about {category} / {tags}。{description}。"

    assert item_text(template, NOTHING | {"title": "Dune"}, 1000) == "Course Dune。"
    assert item_text(template, NOTHING | {"title": "Dune", "tags": "sand"}, 1000) == "Course Dune; about / sand。"


def test_text_is_cut_at_a_character_and_leaves_no_space() -> None:
    assert item_text("{title}", NOTHING | {"title": "ab 😀😀"}, 4) == "ab 😀"
    assert item_text("{title}", NOTHING | {"title": "ab 😀😀"}, 3) == "ab"
