"""What the command line makes of its options before a stage runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recsys_spark import cli, pipeline
from recsys_spark.config import model as config_model
from recsys_spark.config.sections import Config
from recsys_spark.spark import session
from tests.e2e.small_shop import write_shop


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configuration of each run that the command line starts; nothing is run."""
    runs: list[Config] = []

    def run(_: Any, cfg: Config, *__: Any, **___: Any) -> Any:
        runs.append(cfg)

    monkeypatch.setattr(session, "create_session", lambda _: SimpleNamespace(stop=lambda: None))
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
        ("cpu", "cpu"), ("cuda", "auto"), ("cpu", "auto"),
    ], "the last is what the file says"  # fmt: skip


def test_an_unknown_device_is_refused_with_those_there_are(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        embed(file, "--device", "gpu")
    assert ended.value.code == 2
    assert "'cuda'" in capsys.readouterr().err


def test_the_devices_of_the_command_line_are_those_of_the_configuration() -> None:
    field = config_model.Encoder.model_fields["device"]
    assert set(cli.DEVICES) == set(field.annotation.__args__)  # type: ignore[union-attr]
