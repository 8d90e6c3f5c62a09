"""Bad model folders are refused before anything of them is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.encoding.model_folders import TRUSTED, refusal, resolve, rewrite
from tests.tiny_encoder import tiny_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path)


def test_weights_are_required(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no safetensors weights" in refusal(folder)


def test_pickle_weights_are_refused_and_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    message = refusal(folder)
    assert "pickle" in message
    assert "pytorch_model.bin" in message
    assert "safe_serialization=True" in message
    assert "never opened" in message


def test_cut_off_weights_are_refused_before_the_job(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "cut off" in refusal(folder)


def test_missing_shard_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    rewrite(folder / "model.safetensors.index.json", weight_map=shards)
    assert "model-00002-of-00002.safetensors" in refusal(folder)


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/tmp/model.safetensors", "..\\model.safetensors", "weights.bin"]
)
def test_index_that_leads_out_of_the_folder_is_refused(folder: Path, shard: str) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    rewrite(folder / "model.safetensors.index.json", weight_map={"a": shard})
    assert "not safetensors files next to it" in refusal(folder)


@pytest.mark.parametrize("index", [{"weight_map": {}}, {"weight_map": ["a"]}, {}])
def test_index_without_a_shard_is_refused(folder: Path, index: dict[str, Any]) -> None:
    (folder / "model.safetensors").unlink()
    rewrite(folder / "model.safetensors.index.json", **index)
    assert "no shard" in refusal(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(folder: Path, file: str) -> None:
    rewrite(folder / file, auto_map={"AutoModel": "modeling.Model"})
    message = refusal(folder)
    assert "auto_map" in message
    assert "encoder.trust_remote_code" in message


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("modeling.Model", "no modeling.py"),
        ("other/code--modeling.Model", "code of another repository"),
        ("../modeling.Model", "code of another repository"),
    ],
)
def test_trusted_code_that_is_not_in_the_folder_is_refused(folder: Path, code: str, found: str) -> None:
    (folder.parent / "modeling.py").touch()
    rewrite(folder / "config.json", auto_map={"AutoModel": code})
    message = refusal(folder, **TRUSTED)
    assert "not in its folder" in message
    assert found in message


def test_tokenizer_is_required(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert resolve(folder)
    (folder / "vocab.txt").unlink()
    assert "no tokenizer" in refusal(folder)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe{}"])
def test_unreadable_config_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert "config.json of the model cannot be read" in refusal(folder)


def test_config_is_required(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "no config.json" in refusal(folder)
