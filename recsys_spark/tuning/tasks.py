"""tune: tries several configurations of `[model]` at once, each in one executor task on the rows that train reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark.config.model import Model
from recsys_spark.config.sections import Config
from recsys_spark.errors import DataError, RecsysError, TrainingError
from recsys_spark.numerics.arrays import F64
from recsys_spark.spark.task_gpus import assigned_gpus
from recsys_spark.training.rows import DataSettings, data_of, slots_of, training_rows

ROW_SCHEMA = "number int, state string, said string, ndcg array<double>"
DONE, FAILED, REFUSED = "done", "failed", "refused"
REFUSALS = {error.__name__: error for error in (DataError, TrainingError)}


@dataclass(frozen=True)
class Result:
    """The result of one configuration."""

    ndcg: float
    """Mean over the held-out users; 0 if the configuration failed"""
    recall: float
    nll: float
    losses: Sequence[float]
    """Loss of each epoch"""
    seconds: float
    per_user: F64
    """[n] ndcg, of the same users for every configuration; empty if the configuration failed"""
    reason: str | None = None
    """Why the configuration failed; None if it did not"""


def build_tried_rows(
    items: DataFrame,
    users: DataFrame,
    cfg: Config,
    configurations: Sequence[Model],
    *,
    n_users: int,
    text_width: int,
    n_threads: int,
    profile: ResourceProfile | None = None,
    own_machine: bool = False,
) -> DataFrame:
    """Return one row (ROW_SCHEMA) per configuration, `number` its place; :func:`results_of` reads them.

    ``items``, ``users`` and ``n_users`` are the arguments of training_rows, ``profile`` and ``own_machine`` are as in
    build_model_rows. ``n_threads`` is for each task.

    A configuration that cannot be trained (loss, memory) gives a row that says why. If no configuration could help, the
    row refuses.
    """
    rows = training_rows(items, users, cfg, n_users=n_users)
    slots = F.broadcast(slots_of(rows, len(configurations)))
    stream = rows.crossJoin(slots).repartition(len(configurations), "slot")
    trier = _trier(cfg, configurations, text_width, n_threads, own_machine)
    return stream.sortWithinPartitions("number", "kind", "id").mapInArrow(trier, ROW_SCHEMA, profile=profile)


def results_of(rows: Iterable[Row], n: int) -> list[Result]:
    """Return the results of ``n`` configurations in their order. Raises the error of a task that refused."""
    found: dict[int, Result] = {}
    for row in rows:
        said = json.loads(row["said"])
        if row["state"] == REFUSED:
            raise REFUSALS[said.pop("kind")](**said)
        found[row["number"]] = Result(**said, per_user=np.array(row["ndcg"], np.float64))
    return [found[number] for number in range(n)]


def _trier(
    cfg: Config, configurations: Sequence[Model], text_width: int, n_threads: int, own_machine: bool
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    seed, of_data = cfg.run.seed, DataSettings.of(cfg)

    def try_all(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from recsys_spark.worker.threads import limit_threads

        # Before scipy's BLAS is loaded: it asks for the number of threads only once.
        limit_threads(n_threads)
        held = list(batches)
        if not held:
            return
        table = pa.Table.from_batches(held)
        numbers = table["number"].to_numpy()
        # One number. If Spark hashed differently from the slots, the results would be the same, only later.
        for number in np.unique(numbers):
            rows = table if len(numbers) == (numbers == number).sum() else table.filter(numbers == number)
            yield _tried(int(number), rows)

    def _tried(number: int, rows: pa.Table) -> pa.RecordBatch:
        from recsys_spark.worker.devices import task_device

        settings = configurations[number]
        try:
            data = data_of(rows, of_data, text_width)
            with task_device(
                settings.device, assigned_gpus(), setting="model.device", error=TrainingError, own_machine=own_machine
            ) as device:
                return _outcome(number, data, settings, seed, device)
        except RecsysError as error:
            return _row(number, REFUSED, {"kind": type(error).__name__, **error.parts()})

    return try_all


def _outcome(number: int, data: Any, settings: Model, seed: int, device: str) -> pa.RecordBatch:
    """Return the row of a configuration, trained or failed; raises DataError."""
    import torch

    from recsys_spark.tuning.attempt import try_configuration

    def report(entry: Any) -> None:
        # This goes to the executor's log, and in local mode to the terminal.
        print(f"tune: configuration {number}: {entry.line()}", file=sys.stderr, flush=True)

    try:
        tried = try_configuration(data, settings, seed=seed, on_epoch=report, device=device)
    except (TrainingError, MemoryError, torch.cuda.OutOfMemoryError) as error:
        reason = str(error) if isinstance(error, TrainingError) else f"out of memory: {error}"
        failed = {"ndcg": 0.0, "recall": 0.0, "nll": 0.0, "losses": [], "seconds": 0.0, "reason": reason}
        return _row(number, FAILED, failed)
    said = {
        "ndcg": tried.found.ndcg,
        "recall": tried.found.recall,
        "nll": tried.found.nll,
        "losses": [loss.loss for loss in tried.losses],
        "seconds": tried.seconds,
    }
    return _row(number, DONE, said, tried.ndcg)


def _row(number: int, state: str, said: Any, ndcg: Sequence[float] | F64 = ()) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "number": pa.array([number], pa.int32()),
            "state": [state],
            "said": [json.dumps(said, default=str)],
            "ndcg": pa.array([list(ndcg)], pa.list_(pa.float64())),
        }
    )
