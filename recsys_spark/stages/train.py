"""train: fit the towers inside one executor task, and hand the tensors back as rows.

The rows of the catalogue and of the users reach the task as one sorted Arrow stream, so the driver never holds them and
the result does not depend on how they were partitioned.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, Row

from recsys_spark.config import Config
from recsys_spark.errors import TrainingError
from recsys_spark.kernels.artifact import Artifact
from recsys_spark.stages._task_gpus import assigned_gpus
from recsys_spark.stages._training_data import data_of, training_rows

ROW_SCHEMA = "name string, part int, shape array<int>, dtype string, data binary"
PART_BYTES = 32 * 1024 * 1024
FACTS, FAILURE = "facts", "failure"


def build_model_rows(
    items: DataFrame,
    users: DataFrame,
    cfg: Config,
    *,
    n_users: int,
    text_width: int,
    n_threads: int,
    profile: ResourceProfile | None = None,
    own_machine: bool = False,
) -> DataFrame:
    """Train and return the artifact as rows (ROW_SCHEMA); :func:`artifact_of` puts it together.

    ``profile`` asks for a GPU for this task alone; on its ``own_machine`` the task may take a GPU that nobody assigned.

    ``items``, ``users`` and ``n_users`` are those of training_rows. A failure inside the task comes back as a row, because an exception would make
    Spark train again several times before it gave up.
    """
    rows = training_rows(items, users, cfg, n_users=n_users)
    stream = rows.repartition(1).sortWithinPartitions("kind", "id")
    return stream.mapInArrow(_trainer(cfg, text_width, n_threads, own_machine), ROW_SCHEMA, profile=profile)


def artifact_of(rows: Iterable[Row]) -> Artifact:
    """Put the artifact together from its rows. Raises TrainingError with the reason the task gave."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row["name"], []).append(row)
    if FAILURE in parts:
        raise TrainingError(**json.loads(bytes(parts[FAILURE][0]["data"])))
    facts = json.loads(bytes(parts.pop(FACTS)[0]["data"]))
    tensors = {}
    for name, pieces in parts.items():
        data = b"".join(bytes(piece["data"]) for piece in sorted(pieces, key=lambda r: int(r["part"])))
        tensors[name] = np.frombuffer(data, dtype=pieces[0]["dtype"]).reshape(pieces[0]["shape"])
    return Artifact(tensors, facts)


def _trainer(
    cfg: Config, text_width: int, n_threads: int, own_machine: bool
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    settings, seed = cfg.model, cfg.run.seed

    def train(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from recsys_spark.workers import limit_threads

        # Before scipy's BLAS is loaded, which asks for the number of threads once.
        limit_threads(n_threads)
        from recsys_spark.kernels.devices import task_device
        from recsys_spark.kernels.epochs import EpochLoss, TrialEpoch
        from recsys_spark.kernels.training import fit

        data = data_of(pa.Table.from_batches(list(batches)), cfg, text_width)

        def report(entry: EpochLoss | TrialEpoch) -> None:
            # Executor logs, and the terminal in local mode.
            print(f"train: {entry.line()}", file=sys.stderr, flush=True)

        try:
            with task_device(
                settings.device, assigned_gpus(), setting="model.device", error=TrainingError, own_machine=own_machine
            ) as device:
                artifact = _fitted(lambda: fit(data, settings, seed=seed, on_epoch=report, device=device))
        except TrainingError as error:
            yield _rows(FAILURE, json.dumps(_parts(error), default=str).encode(), (), "bytes")
            return
        yield _rows(FACTS, artifact.facts_json().encode(), (), "bytes")
        for name, tensor in artifact.tensors.items():
            yield _rows(name, np.ascontiguousarray(tensor).tobytes(), tensor.shape, str(tensor.dtype))

    return train


def _fitted(train: Callable[[], Artifact]) -> Artifact:
    """What ``train`` gives; raises TrainingError where the GPU's memory is exhausted: Spark would only train again."""
    import torch

    try:
        return train()
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            "The GPU's memory does not suffice for training",
            where="train",
            found=str(error).split("\n")[0],
            expected="4 bytes for each pair of linked items, and about 30 for each of model.batch_positions x items",
            action="See who else is on it (nvidia-smi); lower model.linked_items or model.batch_positions, or set model.device = cpu.",
        ) from error


def _parts(error: TrainingError) -> dict[str, Any]:
    return {
        "what": error.what,
        "where": error.where,
        "found": error.found,
        "expected": error.expected,
        "action": error.action,
    }


def _rows(name: str, data: bytes, shape: tuple[int, ...], dtype: str) -> pa.RecordBatch:
    """One tensor as rows of at most PART_BYTES."""
    pieces = [data[start : start + PART_BYTES] for start in range(0, max(len(data), 1), PART_BYTES)]
    return pa.RecordBatch.from_pydict(
        {
            "name": [name] * len(pieces),
            "part": pa.array(range(len(pieces)), pa.int32()),
            "shape": pa.array([list(shape)] * len(pieces), pa.list_(pa.int32())),
            "dtype": [dtype] * len(pieces),
            "data": pa.array(pieces, pa.binary()),
        }
    )
