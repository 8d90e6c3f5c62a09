"""The texts of items and users, and their vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.texts import encoded, item_texts, user_texts
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from tests.tiny_encoder import tiny_encoder

NONE = Encoder(model="none")


def test_texts_name_the_tags_given_most_and_users_those_of_several_items() -> None:
    world = tiny_world(NONE, n_users=10, n_items=15)
    described = world.settings
    world = replace(
        world,
        settings=replace(
            described, profiles=described.profiles.model_copy(update={"item_template": "{title}. {tags}"})
        ),
    )
    assert item_texts(world)[0] == "red wool dress 0. dress"
    # With ten items the three tags of a user are on two items, which is too few.
    assert user_texts(tiny_world(NONE, n_users=10, n_items=10)) == [None] * 10
    assert user_texts(world)[:6] == ["dress", "album", "game", "comedy", "course", None]


def test_vectors_are_encoded_once_and_read_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = Encoder(model=str(tiny_encoder(tmp_path)), max_length=16)
    first = encoded(["red dress", None, "jazz"], encoder, 1, tmp_path / "cache")
    again = encoded(["jazz", "red dress", "jazz", None], encoder, 1, tmp_path / "cache")
    assert capsys.readouterr().out.count("encoding 2 texts") == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1
    np.testing.assert_array_equal(first[[2, 0, 2, 1]], again)
    assert not first[1].any()
    np.testing.assert_allclose(np.linalg.norm(first[[0, 2]], axis=1), 1.0, rtol=1e-5)
