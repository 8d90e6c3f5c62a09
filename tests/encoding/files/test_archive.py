"""Archives of models: unpacked once, and refused whole where any entry is hostile."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_spark.encoding.files.archive import cached_folder, is_archive, unpack
from recsys_spark.errors import EncoderError

Write = Callable[[Path], Path]


def tar_with(*members: tarfile.TarInfo) -> Write:
    """A good member first, so that a refusal in the middle would leave something behind."""

    def write(folder: Path) -> Path:
        with tarfile.open(folder / "model.tar.gz", "w:gz") as packed:
            for member in (tarfile.TarInfo("model/config.json"), *members):
                packed.addfile(member, io.BytesIO(b"x" * member.size))
        return folder / "model.tar.gz"

    return write


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_with(name: str, mode: int = 0) -> Write:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "model.zip", "w") as packed:
            packed.writestr("model/config.json", "{}")
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, "/etc/passwd")
        return folder / "model.zip"

    return write


HOSTILE = {
    "tar: up": tar_with(entry("../outside")),
    "tar: up from within": tar_with(entry("model/../../outside")),
    "tar: absolute": tar_with(entry("/tmp/outside")),
    "tar: symbolic link": tar_with(entry("model/link", tarfile.SYMTYPE, "/etc")),
    "tar: link inside": tar_with(entry("model/link", tarfile.SYMTYPE, "config.json")),
    "tar: hard link": tar_with(entry("model/link", tarfile.LNKTYPE, "/etc/passwd")),
    "tar: device": tar_with(entry("model/device", tarfile.CHRTYPE)),
    "tar: pipe": tar_with(entry("model/pipe", tarfile.FIFOTYPE)),
    "zip: up": zip_with("../outside"),
    "zip: absolute": zip_with("/tmp/outside"),
    "zip: drive": zip_with("C:/outside"),
    "zip: up, spelt for another system": zip_with("..\\outside"),
    "zip: symbolic link": zip_with("model/link", stat.S_IFLNK | 0o777),
}


@pytest.mark.parametrize("write", HOSTILE.values(), ids=HOSTILE)
def test_hostile_archive_is_refused_before_anything_is_written(write: Write, tmp_path: Path) -> None:
    (target := tmp_path / "deep" / "target").mkdir(parents=True)
    with pytest.raises(EncoderError, match="contains what no model needs") as caught:
        unpack(write(tmp_path), target)
    assert caught.value.found
    assert list(target.iterdir()) == []
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("write", [tar_with(entry("model/a.json")), zip_with("model/a.json", stat.S_IFREG | 0o644)])
def test_harmless_archive_is_unpacked(write: Write, tmp_path: Path) -> None:
    (target := tmp_path / "target").mkdir()
    unpack(write(tmp_path), target)
    assert sorted(path.name for path in (target / "model").iterdir()) == ["a.json", "config.json"]


def test_archive_larger_than_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (target := tmp_path / "target").mkdir()
    large = entry("model/model.safetensors")
    large.size = 2_000
    archive = tar_with(large)(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_999}))
    with pytest.raises(EncoderError, match="larger than the free space on the disk"):
        unpack(archive, target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["model.zip", "model.tar", "model.tar.gz", "model.tgz"])
@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_not_an_archive_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (target := tmp_path / "target").mkdir()
    with pytest.raises(EncoderError, match="cannot be unpacked"):
        unpack(tmp_path / name, target)


def test_cut_off_archive_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = entry("model/model.safetensors")
    whole.size = 100_000
    archive = tar_with(whole)(tmp_path)
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(EncoderError, match="cannot be unpacked"):
        cached_folder("key", lambda part: unpack(archive, part))
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_cache_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    filled: list[Path] = []
    folders = {cached_folder("key", filled.append) for _ in range(2)}
    assert (len(folders), len(filled)) == (1, 1)
    assert stat.S_IMODE(folders.pop().parent.stat().st_mode) == 0o700


def test_cache_survives_another_job_that_fills_it_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fill(part: Path) -> None:
        (part / "config.json").touch()

    def overtaken(part: Path) -> None:
        fill(part)
        cached_folder("key", fill)

    folder = cached_folder("key", overtaken)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["key"]


def test_without_a_home_the_cache_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cached_folder("key", lambda part: (part / "config.json").touch()).is_dir()


def test_archives_are_known_by_their_names() -> None:
    names = ("a.zip", "a.TAR", "a.tar.gz", "a.tgz", "a.safetensors", "a.gz", "zip")
    assert [name for name in names if is_archive(name)] == ["a.zip", "a.TAR", "a.tar.gz", "a.tgz"]
