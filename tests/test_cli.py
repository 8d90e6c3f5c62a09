"""The command line: quick help, errors that say what to do, and what it makes of options before a stage runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recsys_spark import cli, pipeline
from recsys_spark.commands import stages
from recsys_spark.commands.registry import COMMANDS
from recsys_spark.config.encoder import Encoder
from recsys_spark.config.sections import Config
from recsys_spark.spark import session
from recsys_spark.steps.names import STAGE_NAMES
from tests.e2e.small_shop import write_shop


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configuration of each run that the command line starts; nothing is run."""
    runs: list[Config] = []

    def run(_: Any, cfg: Config, *__: Any, **___: Any) -> Any:
        runs.append(cfg)

    monkeypatch.setattr(session, "create_session", lambda _, **__: SimpleNamespace(stop=lambda: None))
    monkeypatch.setattr(pipeline, "run_pipeline", run)
    return runs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_shop(tmp_path)


def embed(file: Path, *words: str) -> int:
    return cli.main(["embed", "--config", str(file), "--run-date", "2026-01-01", *words])


def test_the_device_is_that_of_both_stages_on_gpus(file: Path, ran: list[Config]) -> None:
    assert embed(file, "--device", "cpu") == 0
    assert embed(file, "--device", "cuda", "--set", "score.device=auto") == 0
    assert embed(file) == 0
    assert [(cfg.encoder.device, cfg.score.device) for cfg in ran] == [
        ("cpu", "cpu"),
        ("cuda", "auto"),
        ("cpu", "auto"),
    ], "the last is what the file says"


def test_an_unknown_device_is_refused_with_those_there_are(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(file, "--device", "gpu") == 2
    assert "expected: auto, cpu, cuda" in capsys.readouterr().err


def test_the_devices_of_the_command_line_are_those_of_the_configuration() -> None:
    field = Encoder.model_fields["device"]
    assert set(stages.DEVICES) == set(field.annotation.__args__)  # type: ignore[union-attr]


HEAVY = ("pyspark", "py4j", "torch", "numpy", "pandas", "transformers", "numba")
IN_A_FRESH_PROCESS = """
import contextlib, io, json, sys
from recsys_spark.cli import main

def status(words):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return main(words)
        except SystemExit as ended:
            return ended.code or 0

codes = [status(words) for words in json.loads(sys.argv[1])]
print(json.dumps([codes, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def test_help_and_a_wrong_command_line_need_neither_spark_nor_torch() -> None:
    right = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    wrong = [["trian"], [], *([name, "--nothing"] for name in COMMANDS), ["tune", "--trials", "0"]]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, json.dumps([*right, *wrong])],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    codes, imported = json.loads(done.stdout)
    assert codes == [0] * len(right) + [2] * len(wrong)
    assert set(imported).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("words", "where", "found"),
    [
        (["trian"], "command line", "trian"),
        (["train", "--config", "x"], "command line", "--run-date"),
        (["train", "--config"], "--config", "expected one argument"),
        (["vacuum", "--config", "x", "--dayz", "3"], "command line", "--dayz 3"),
        (["vacuum", "--config", "x", "--days", "0"], "--days", "0"),
        (["vacuum", "--config", "x", "--dry-run=1"], "--dry-run", "ignored explicit argument '1'"),
        (["tune", "--seed", "seven"], "--seed", "seven"),
        (["demo", "--users", "-1"], "--users", "-1"),
        (["train", "--config", "x", "--run-date", "2026-01-01", "--set", "top_n"], "--set", "top_n"),
    ],
)
def test_a_wrong_option_says_where_what_and_what_to_do(
    words: list[str], where: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("\nConfigError: ")
    lines = dict(line.strip().split(":", 1) for line in said.splitlines()[2:])
    assert lines.keys() == {"where", "found", "expected", "to do"}
    assert lines["where"].strip() == where
    assert found in lines["found"]


def test_the_usage_names_every_command_with_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert list(lines) == list(COMMANDS)
    assert "(--config FILE --run-date YYYY-MM-DD --out FILE)" in lines["tune"]


def test_each_command_is_a_file_of_its_name() -> None:
    folder = Path(cli.__file__).parent / "commands"
    files = {file.stem for file in folder.glob("*.py")} - {"__init__", "command", "options", "registry", "stored"}
    assert files == {"stages"} | {command.name for command in COMMANDS.values() if not command.is_stage}


def test_each_stage_is_a_file_of_its_name() -> None:
    assert [stage.name for stage in pipeline.STAGES] == list(STAGE_NAMES)
    modules = [sys.modules[f"recsys_spark.steps.{name}"] for name in STAGE_NAMES]
    assert [module.STAGE for module in modules] == list(pipeline.STAGES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "--out", "C:/shop"), "`--out` is a path of Windows"),
        (("generate", "--out", "shop[1]"), "`--out` has [ ] in its path"),
        (("demo", "--dir", "shop{1}"), "`--dir` has { } in its path"),
        (("demo", "--dir", "hdfs:/shop"), "`--dir` is an address of hdfs"),
        (("encoders", "--config", "FILE", "--out", ""), "`--out` is empty"),
        (("encoders", "--config", "FILE", "--candidates", "hdfs:m"), "`--candidates` has `hdfs:`"),
        (("tune", "--config", "FILE", "--run-date", "2026-01-01", "--out", "s3a://b/x.toml"), "`--out` is an address"),
        (("vacuum", "--config", "~nobody-of-this-name/c.toml"), "`--config` names the home folder"),
        (("ingest", "--config", "FILE", "--run-date", "2026-01-01", "--set", "run.store=hdfs:x"), "`run.store` has"),
    ],
)
def test_an_address_of_the_command_line_is_refused_before_anything_is_written(
    file: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    before = sorted(file.parent.iterdir())
    assert cli.main([word.replace("FILE", str(file)) for word in words]) == 2
    assert said in capsys.readouterr().err
    assert sorted(file.parent.iterdir()) == before
