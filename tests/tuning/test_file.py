"""The file that tuning writes: the user's own except for values of [model], and whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config.file import load_config
from recsys_spark.errors import ConfigError
from recsys_spark.tuning.file import check_out, write_tuned

TEXT = """\
# Our shop.
run = { store = "store", top_n = 20 }
MODEL
[sources.behaviours]
format = "csv"
path = "${SHOP_DATA}/events.csv"   # from the warehouse
columns = { user_id = "u", item_id = "i", behaviour = "'like'", ts = "t" }
[[sources.items]]
format = "csv"
path = "items.csv"
columns = { item_id = "i", title = "n" }
[[sources.items]]
format = "csv"
path = "/warehouse/more.csv"
columns = { item_id = "i", title = "n" }
[behaviours.weights]
like = 1.0
[encoder]
model = "./encoder"
"""
CHANGES = {"width": 96, "learning_rate": 0.0031}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_DATA", "data")
    return written(tmp_path, "[model]\nepochs = 9   # enough\nwidth = 32   # small")


def written(folder: Path, model: str) -> Path:
    file = folder / "shop.toml"
    file.write_text(TEXT.replace("MODEL", model), encoding="utf-8")
    return file


def tuned(file: Path, out: Path, changes: dict[str, Any] | None = None) -> Path:
    write_tuned(file, load_config(file), out, CHANGES if changes is None else changes)
    return out


@pytest.mark.parametrize(
    "model", ["[model]\nwidth = 32\nepochs = 9", "model = { width = 32, epochs = 9 }", "model.epochs = 9", ""]
)
def test_the_tuned_file_differs_only_in_model_however_model_is_written(file: Path, model: str) -> None:
    written(file.parent, model)
    given = load_config(file)
    found = load_config(tuned(file, file.with_name("tuned.toml")))
    assert found.model == given.model.model_copy(update=CHANGES)
    assert found.model_copy(update={"model": given.model}) == given


def test_the_tuned_file_keeps_comments_and_order(file: Path) -> None:
    lines = tuned(file, file.with_name("tuned.toml")).read_text(encoding="utf-8").splitlines()
    before = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in before if line not in lines] == ["width = 32   # small"]
    assert [line for line in lines if line not in before] == ["width = 96   # small", "learning_rate = 0.0031"]


@pytest.mark.parametrize("data", ["data", "/warehouse"])
def test_a_tuned_file_in_another_folder_names_the_same_data(
    file: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    monkeypatch.setenv("SHOP_DATA", data)
    (file.parent / "elsewhere").mkdir()
    out = tuned(file, file.parent / "elsewhere" / "tuned.toml")
    found, given = load_config(out), load_config(file)
    assert found.sources == given.sources
    assert (found.run, found.encoder) == (given.run, given.encoder)
    assert "${SHOP_DATA}/events.csv" in out.read_text(encoding="utf-8")


def test_if_nothing_was_better_the_tuned_file_equals_the_file(file: Path) -> None:
    out = tuned(file, file.with_name("tuned.toml"), {})
    assert out.read_bytes() == file.read_bytes()


def test_a_crash_leaves_the_earlier_file_and_no_partial_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = file.with_name("tuned.toml")
    out.write_text("earlier")

    def no_space(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="no space"):
        tuned(file, out)
    assert out.read_text() == "earlier"
    assert sorted(p.name for p in file.parent.iterdir()) == ["shop.toml", "tuned.toml"]


def test_a_configuration_changed_during_tuning_is_not_mixed_with_the_winner(file: Path) -> None:
    given = load_config(file)
    file.write_text(file.read_text(encoding="utf-8").replace("top_n = 20", "top_n = 30"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"other values in run") as caught:
        write_tuned(file, given, file.with_name("tuned.toml"), CHANGES)
    assert "0.0031" in str(caught.value), "the work of hours is not lost"
    assert not file.with_name("tuned.toml").exists()


def test_the_configuration_itself_is_never_overwritten(file: Path) -> None:
    link = file.with_name("link.toml")
    link.symlink_to(file)
    for out in (file, link, file.parent / ".." / file.parent.name / "shop.toml"):
        with pytest.raises(ConfigError, match="the configuration itself"):
            check_out(file, out)


def test_an_out_that_cannot_be_written_is_refused_at_once(file: Path) -> None:
    for out, says in ((file.parent, "a folder"), (file.parent / "absent" / "t.toml", "does not exist")):
        with pytest.raises(ConfigError, match=says):
            check_out(file, out)
    check_out(file, file.with_name("tuned.toml"))
