"""How a model pools, read from old and new sentence-transformers files; what is not supported is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.encoding.files.pooling import read_pooling
from tests.encoding.model_folders import refusal, resolve, rewrite
from tests.tiny_encoder import tiny_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path)


@pytest.mark.parametrize(
    ("stated", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "last"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({}, "mean"),
    ],
)
def test_auto_pooling_reads_old_and_new_files(folder: Path, stated: dict[str, Any], pooling: str) -> None:
    rewrite(folder / "1_Pooling" / "config.json", **stated)
    assert resolve(folder).pooling == pooling


def test_pooling_is_found_through_modules(folder: Path) -> None:
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "2_Pool"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    rewrite(folder / "2_Pool" / "config.json", pooling_mode="cls")
    assert read_pooling(folder) == "cls"


@pytest.mark.parametrize(
    "stated",
    [
        {"pooling_mode": "no-such-pooling"},
        {"pooling_mode_mean_sqrt_len_tokens": True},
        {"pooling_mode": ["mean", "cls"]},
    ],
)
def test_unsupported_pooling_is_refused_unless_set(folder: Path, stated: dict[str, Any]) -> None:
    rewrite(folder / "1_Pooling" / "config.json", **stated)
    assert "encoder.pooling" in refusal(folder)
    assert resolve(folder, pooling="cls").pooling == "cls"


def test_a_mean_without_the_prefix_is_refused(folder: Path) -> None:
    rewrite(folder / "1_Pooling" / "config.json", pooling_mode="mean", include_prompt=False)
    assert resolve(folder).pooling == "mean"
    assert "include_prompt" in refusal(folder, item_prefix="passage: ")


def test_a_layer_after_pooling_is_refused(folder: Path) -> None:
    (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    )
    assert "Dense" in refusal(folder)
