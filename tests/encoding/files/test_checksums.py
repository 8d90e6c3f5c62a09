"""Checksums that came with a model: compared on the driver, in each form in which they come."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.encoding.model_folders import refusal, resolve, rewrite
from tests.tiny_encoder import tiny_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path)


def sums_of(folder: Path) -> str:
    """As `sha256sum *` writes them."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def test_listed_checksums_are_checked(folder: Path) -> None:
    (folder / "README.md").write_text("later changed, and no matter")
    (folder / "SHA256SUMS").touch()
    (folder / "SHA256SUMS").write_text(sums_of(folder))
    (folder / "README.md").write_text("changed")
    assert resolve(folder)
    rewrite(folder / "config.json", layer_norm_eps=1e-6)
    message = refusal(folder)
    assert "config.json of the model has another checksum" in message
    assert "SHA256SUMS" in message


def test_checksums_of_files_outside_the_fingerprint_are_checked_too(folder: Path) -> None:
    rewrite(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64} *./1_Pooling/config.json\n")
    assert "1_Pooling/config.json of the model has another checksum" in refusal(folder)


def test_listed_file_that_is_missing_is_refused(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text(sums_of(folder))
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json of the model is missing" in refusal(folder)


@pytest.mark.parametrize("line", ["no checksum", f"{'0' * 64}  ../outside.json", f"{'0' * 64}  /outside.json"])
def test_unreadable_checksums_are_refused(folder: Path, line: str) -> None:
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
