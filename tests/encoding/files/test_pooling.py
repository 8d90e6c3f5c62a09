"""How a model pools, read from old and new sentence-transformers files; what is not supported is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.encoding.model_folders import refusal, resolve, rewrite
from tests.encoding.saved_models import dense, saved
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
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
        ({"pooling_mode": ["mean", "cls"]}, "mean+cls"),
        ({}, "mean"),
    ],
)
def test_auto_pooling_reads_old_and_new_files(folder: Path, stated: dict[str, Any], pooling: str) -> None:
    rewrite(folder / "1_Pooling" / "config.json", **stated)
    assert resolve(folder).pooling == pooling


def test_pooling_is_found_through_modules(folder: Path) -> None:
    saved()(folder)
    (folder / "1_Pooling").rename(folder / "2_Pool")
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([listed[0], listed[1] | {"path": "2_Pool"}]))
    rewrite(folder / "2_Pool" / "config.json", pooling_mode="cls")
    assert resolve(folder).pooling == "cls"


@pytest.mark.parametrize(
    "stated", [{"pooling_mode": "no-such-pooling"}, {"pooling_mode_own": True}, {"pooling_mode": ["mean", "own"]}]
)
def test_unsupported_pooling_is_refused_unless_set(folder: Path, stated: dict[str, Any]) -> None:
    rewrite(folder / "1_Pooling" / "config.json", **stated)
    assert "encoder.pooling" in refusal(folder)
    assert resolve(folder, pooling="cls").pooling == "cls"


def test_a_set_pooling_leaves_the_layers_after_it(folder: Path) -> None:
    saved(dense("2_Dense"), layers=("Dense",))(folder)
    spec = resolve(folder, pooling="cls")
    assert (spec.pooling, spec.width) == ("cls", 16)
    assert spec.layers == resolve(folder).layers != ""


def test_a_folder_without_modules_says_where_its_pooling_is_from(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    resolve(folder)
    assert "no modules.json" in caplog.text
