"""Records trainings and their backtests in MLflow if ``[mlflow]`` asks for it; needs the extra ``mlflow``.

Each model of a nightly walk is one MLflow run. It is found again by the attempt that trained it, so a rerun adds what
is missing and nothing twice. A night never fails because of a record: if something cannot be recorded, that is a
warning. MLflow is imported where it is used.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from recsys_spark import __version__, tables
from recsys_spark.config.model import Mlflow
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError
from recsys_spark.model.kernels.facts import ModelFacts
from recsys_spark.steps.context import Context
from recsys_spark.steps.mlflow_values import Value, backtest_values, params_of, training_values
from recsys_spark.steps.stored_model import MODEL_CARD, MODEL_FACTS, MODEL_TENSORS
from recsys_spark.store.areas import StageManifest

log = logging.getLogger("recsys_spark")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
DEFAULTS = {
    # MLflow's defaults are 120 s, seven times: a server that is down would delay the lists for a quarter of an hour.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    # A nightly job reports only to the server that it was given.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Environment variables of MLflow, used if the environment does not set them."""
ATTEMPT, DONE = "train_attempt", "recorded_{stage}"
"""Tags: the attempt by which a run is found, and the attempt of a stage that it holds completely."""
PATIENCE_S = 300.0
"""No stage is held up longer, whatever timeouts a database or a file store has; MLflow goes on meanwhile."""
CAUSE_CHARS = 500
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///([^?]*).*")
_PASSWORD = re.compile(r"//[^/@\s]+@")


def check(cfg: Config) -> None:
    """Raise ConfigError if nothing could be recorded, whatever the server does: before the stages spend hours."""
    uri = cfg.mlflow.tracking_uri
    if not uri:
        return
    of_database = re.split(r"[+:]", uri)[0] in DATABASES
    with _defaults():
        for package in ("mlflow", *(("sqlalchemy", "alembic") if of_database else ())):
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise ConfigError(
                    f"The package {package} is needed for MLflow and is not installed",
                    where="mlflow.tracking_uri",
                    found=f"{_shown(uri)}, and {error}",
                    expected="MLflow in the Python of the driver",
                    action="pip install 'recsys-spark[mlflow]', or leave mlflow.tracking_uri empty.",
                ) from error
        if of_database:
            return
        try:
            # This connects to nothing yet, unlike the client of a database.
            _client(uri)
        except Exception as error:
            raise ConfigError(
                "MLflow does not take the tracking_uri",
                where="mlflow.tracking_uri",
                found=f"{_shown(uri)}: {_cause(error)}",
                expected="the http(s) address of a tracking server, or a database such as sqlite:////data/mlflow.db",
                action="Correct mlflow.tracking_uri, or leave it empty.",
            ) from error


def record(ctx: Context, stage: str) -> None:
    """Record the results of a finished stage of the main walk, and the training if it is not recorded yet."""
    settings = ctx.cfg.mlflow
    if not settings.tracking_uri or ctx.hidden is not None or stage not in RECORDED:
        return

    def work() -> None:
        client = _client(settings.tracking_uri)
        run = _run(client, ctx)
        for write in RECORDED[stage]:
            write(client, ctx, run)

    try:
        with _defaults():
            _within(PATIENCE_S, work)
    except Exception as error:
        # The lists do not depend on the record, whatever the error is.
        log.warning(
            "mlflow: `%s` was not recorded at %s: %s. "
            "The lists are not affected. Run the same command again to record it.",
            stage,
            _shown(settings.tracking_uri),
            _cause(error),
        )


def _record_training(client: Any, ctx: Context, run: Any) -> None:
    manifest = ctx.area.finished("train")
    if _is_done(run, manifest):
        return
    files = {name: ctx.area.file("train", name) for name in (MODEL_TENSORS, MODEL_FACTS, MODEL_CARD)}
    facts = ModelFacts.parse(files[MODEL_FACTS].decode())
    _log(client, run, manifest, training_values(facts), params_of(ctx.cfg, facts.encoder_id))
    # Last, because they may go to another server than the numbers.
    with tempfile.TemporaryDirectory(prefix="recsys-spark-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        client.log_artifacts(run.info.run_id, folder)
    client.set_terminated(run.info.run_id, end_time=_milliseconds(manifest))
    _set_done(client, run, manifest)


def _record_backtest(client: Any, ctx: Context, run: Any) -> None:
    manifest = ctx.area.finished("evaluate")
    if _is_done(run, manifest):
        return
    _log(client, run, manifest, backtest_values(ctx.table("evaluate", tables.METRICS).collect()), {})
    _set_done(client, run, manifest)


RECORDED = {"train": (_record_training,), "evaluate": (_record_training, _record_backtest)}
"""The records after a stage: the training once more after evaluate, in case the server was down the first time."""


def _run(client: Any, ctx: Context) -> Any:
    """Return the MLflow run of the model of this walk; begin it if there is none."""
    manifest, settings = ctx.area.finished("train"), ctx.cfg.mlflow
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        location = artifact_location(settings)
        experiment_id = client.create_experiment(settings.experiment, artifact_location=location)
    else:
        experiment_id = experiment.experiment_id
    attempt = _attempt(manifest)
    found = client.search_runs([experiment_id], f"tags.{ATTEMPT} = '{attempt}'", max_results=1)
    if found:
        return found[0]
    tags = {
        "run_date": ctx.run_date,
        "as_of": ctx.as_of.isoformat(),
        "model_id": manifest.facts["model_id"],
        "stage_key": manifest.key,
        "version": __version__,
        ATTEMPT: attempt,
    }
    started = _milliseconds(manifest) - int(manifest.seconds * 1000)
    run = client.create_run(experiment_id, start_time=started, tags=tags, run_name=ctx.run_date)
    log.info("mlflow: run %s of experiment %s", run.info.run_id, settings.experiment)
    return run


def artifact_location(settings: Mlflow) -> str | None:
    """Return where a new experiment keeps its files; None leaves it to the server."""
    if settings.artifact_location.startswith("/"):
        # MLflow would read %20 and # in a bare path as parts of an address.
        return Path(settings.artifact_location).as_uri()
    database = _SQLITE.fullmatch(settings.tracking_uri)
    if settings.artifact_location or database is None:
        return settings.artifact_location or None
    # By default MLflow takes a folder in the directory where the job was started.
    return (Path(database[1]).resolve().parent / "mlartifacts").as_uri()


def _log(
    client: Any,
    run: Any,
    manifest: StageManifest,
    values: Iterable[Value],
    params: Mapping[str, str],
) -> None:
    from mlflow.entities import Metric, Param

    # With the manifest's time, so that a value logged before a failure is the same entry the next time.
    at = _milliseconds(manifest)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, at, step) for name, value, step in values],
        params=[Param(name, value) for name, value in params.items()],
    )


def _is_done(run: Any, manifest: StageManifest) -> bool:
    return bool(run.data.tags.get(DONE.format(stage=manifest.stage)) == _attempt(manifest))


def _set_done(client: Any, run: Any, manifest: StageManifest) -> None:
    client.set_tag(run.info.run_id, DONE.format(stage=manifest.stage), _attempt(manifest))


def _attempt(manifest: StageManifest) -> str:
    return manifest.attempt.rsplit("/", 1)[-1]


def _milliseconds(manifest: StageManifest) -> int:
    return int(datetime.fromisoformat(manifest.finished_at or "1970-01-01T00:00:00+00:00").timestamp() * 1000)


def _client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do ``work``, and raise what it raises. Raises TimeoutError if it has not ended by then, which does not stop
    it."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="mlflow", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no end after {seconds:g} s")
    if raised:
        raise raised[0]


@contextmanager
def _defaults() -> Iterator[None]:
    added = {name: value for name, value in DEFAULTS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _shown(text: str) -> str:
    return _PASSWORD.sub("//***@", text)


def _cause(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return _shown(f"{type(error).__name__}: {lines[0]}")[:CAUSE_CHARS]
