"""What the encoding benchmark encodes, and how vectors are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.encode.cases import Case, parameters
from benchmarks.encode.quality import compared
from benchmarks.encode.texts import TITLES, distinct, long_profiles, read_texts
from tests.tiny_encoder import INNER, LAYERS, WIDTH, tiny_encoder


def test_texts_without_data_come_from_the_generated_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECSYS_DATA_DIR", raising=False)
    titles, again = read_texts(TITLES), read_texts(TITLES)
    assert titles.origin == "the project's generated shop"
    assert titles.texts == again.texts
    assert len(titles.texts) == len(set(titles.texts)) > 2_048
    assert Case("m", "M", TITLES, 3, "passage: ").read().texts == [f"passage: {text}" for text in titles.texts[:3]]


def test_texts_are_the_data_folders_where_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mooccubex").mkdir()
    (tmp_path / "mooccubex" / "courses_about.csv").write_text(
        'id,about\nC_1,"古典, 文学"\nC_2,\nC_3,"古典, 文学"\n', "utf-8"
    )
    monkeypatch.setenv("RECSYS_DATA_DIR", str(tmp_path))
    assert read_texts("descriptions").texts == ["古典, 文学"]


def test_long_profiles_are_all_different_and_the_same_every_time() -> None:
    titles = [f"title {n}" for n in range(12_086)]
    made = long_profiles(titles)
    assert made == long_profiles(titles)
    assert len(set(made)) == len(made) == 2_048
    assert distinct(made) == made
    assert all(len(set(parts)) == len(parts) for parts in (text.split("; ") for text in made))


def test_parameters_are_those_that_multiply(tmp_path: Path) -> None:
    biases_and_norms = 3 * WIDTH + WIDTH + INNER + WIDTH + 4 * WIDTH
    matrices = 4 * WIDTH * WIDTH + 2 * WIDTH * INNER
    assert parameters(tiny_encoder(tmp_path)) == LAYERS * (matrices + biases_and_norms)


def test_quality_is_measured_against_the_first_vectors() -> None:
    exact = np.eye(12, dtype=np.float32)
    other = exact[::-1].copy()
    same, turned = compared({"exact": exact, "turned": other}, None)
    assert (same["cosine_q01"], same["overlap"]) == (1.0, 1.0)
    assert (turned["cosine_median"], turned["cosine_worst"]) == (0.0, 0.0)
