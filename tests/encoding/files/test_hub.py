"""Models of the hub: downloaded once, in part, at a commit; quickly refused where the hub does not give them."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.find import WAYS
from recsys_spark.encoding.files.hub import _within, hub_folder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.errors import EncoderError
from tests.encoding.fake_hub import CLOSED, COMMIT, FakeHub, fake_hub
from tests.tiny_encoder import tiny_encoder

MODEL = "shop/tiny"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub with one model, and an empty hub cache of the client."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with fake_hub(tiny_encoder(tmp_path, name="upstream"), MODEL) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


def refusal(model: str = MODEL, revision: str = "", *, trusted: bool = False) -> str:
    with pytest.raises(EncoderError) as caught:
        hub_folder(model, revision, trusted=trusted)
    assert caught.value.action
    return str(caught.value)


def forget_the_listing(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with older clients, which do not keep what a commit holds and so cannot miss a part of it.

    The cache moves as well: newer clients remember the listing of a path.
    """
    cache = snapshot.parents[2]
    moved = cache.rename(cache.with_name("older-cache"))
    for listing in list(moved.glob("*/trees")):
        shutil.rmtree(listing)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(moved))


def test_model_is_downloaded_at_a_commit_that_is_logged(hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "recsys_spark"):
        folder = hub_folder(MODEL, "", trusted=False)
    assert folder.name == COMMIT
    assert f'pin it with encoder.revision = "{COMMIT}"' in "\n".join(caplog.messages)
    direct = resolve_encoder(Encoder(model=str(hub.folder)))
    assert resolve_encoder(Encoder(model=MODEL), folder=folder).encoder_id == direct.encoder_id


def test_a_pinned_model_in_the_cache_needs_no_request(hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "recsys_spark"):
        first = hub_folder(MODEL, COMMIT, trusted=False)
        asked = len(hub.asked)
        assert hub_folder(MODEL, COMMIT, trusted=False) == first
    assert (len(hub.asked), "\n".join(caplog.messages)) == (asked, "")
    assert asked > 0


@pytest.mark.parametrize("client", ["new", "old"])
def test_half_a_model_in_the_cache_is_completed(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    folder = hub_folder(MODEL, COMMIT, trusted=False)
    (folder / "model.safetensors").resolve().unlink()
    (folder / "model.safetensors").unlink()
    if client == "old":
        forget_the_listing(folder, monkeypatch)
    assert (hub_folder(MODEL, COMMIT, trusted=False) / "model.safetensors").is_file()


def test_pickles_exports_and_untrusted_code_are_not_downloaded(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "pytorch_model.bin",
        "onnx/model.onnx",
        "onnx/config.json",
        "modeling.py",
        "2_Dense/model.safetensors",
    ):
        (hub.folder / name).parent.mkdir(exist_ok=True)
        (hub.folder / name).write_bytes(b"not wanted")
    (hub.folder / "1_Pooling").mkdir()
    (hub.folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    folder = hub_folder(MODEL, COMMIT, trusted=False)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    texts = {"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "1_Pooling/config.json"}
    assert names == {"model.safetensors", *texts}
    # The same commit, trusted: what is in the cache is no longer enough.
    forget_the_listing(folder, monkeypatch)
    assert (hub_folder(MODEL, COMMIT, trusted=True) / "modeling.py").is_file()


def test_model_with_only_pickles_is_refused_before_the_download(hub: FakeHub) -> None:
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    message = refusal()
    assert "pytorch_model.bin" in message
    assert "never opened" in message
    assert not any("resolve" in path for path in hub.asked)


def test_damaged_download_is_refused_by_its_checksum(hub: FakeHub) -> None:
    weights = bytearray((hub.folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    hub.damaged["model.safetensors"] = bytes(weights)
    folder = hub_folder(MODEL, COMMIT, trusted=False)
    with pytest.raises(
        EncoderError, match=r"model\.safetensors of the model has another checksum.*(?s:.)*the hub says"
    ):
        resolve_encoder(Encoder(model=MODEL), folder=folder)


@pytest.mark.parametrize("revision", ["main", "v1.0"])
def test_trusted_code_needs_a_commit_not_a_branch(hub: FakeHub, revision: str) -> None:
    assert "encoder.revision" in refusal(revision=revision, trusted=True)
    assert hub.asked == []


def test_unknown_model_and_revision_are_told_apart(hub: FakeHub) -> None:
    assert "the hub has no such model" in refusal("shop/huge")
    assert "no such revision" in refusal(revision="v2")


def test_without_network_the_error_comes_at_once_and_names_every_other_way(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    started = time.monotonic()
    message = refusal()
    assert time.monotonic() - started < 10
    for way in WAYS[:-1]:
        assert way in message
    assert len(WAYS) == 5
    assert MODEL in message


def test_a_hub_that_does_not_answer_is_given_up(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys_spark.encoding.files.hub.REQUEST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert "cannot be asked" in refusal()
    assert time.monotonic() - started < 5


def test_name_resolution_that_hangs_is_given_up() -> None:
    """No timeout of an HTTP client covers it."""
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="no answer within"):
        _within(0.05, lambda: time.sleep(5))
    assert time.monotonic() - started < 2


def test_without_network_the_last_download_is_used(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = hub_folder(MODEL, "main", trusted=False)
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    with caplog.at_level(logging.WARNING, "recsys_spark"):
        assert hub_folder(MODEL, "main", trusted=False) == folder
    assert "cannot be reached" in "\n".join(caplog.messages)


def test_offline_mode_sends_no_request(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in refusal()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = hub_folder(MODEL, "", trusted=False)
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_folder(MODEL, "", trusted=False) == folder
    assert len(hub.asked) == asked
