"""train: fits the towers inside executor tasks, usually one, and returns the tensors as rows.

The rows of the catalogue and of the users reach a task as one sorted Arrow stream. So the driver never holds them, and
the result does not depend on how they were partitioned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, Row

from recsys_spark.config.model import Model
from recsys_spark.config.sections import Config
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.facts import ModelFacts
from recsys_spark.spark.task_gpus import assigned_gpus
from recsys_spark.training.processes import group_of_tasks, shards
from recsys_spark.training.rows import DataSettings, data_of, training_rows

if TYPE_CHECKING:
    from recsys_spark.training.kernels.checkpoint_files import Checkpoints
    from recsys_spark.training.kernels.checkpoints import TrainingState
    from recsys_spark.training.kernels.data import Data
    from recsys_spark.training.progress import TrainingProgress
    from recsys_spark.worker.process_group import Group

ROW_SCHEMA = "name string, part int, shape array<int>, dtype string, data binary"
PART_BYTES = 32 * 1024 * 1024
FACTS, FAILURE = "facts", "failure"


class Checkpoint(NamedTuple):
    """The address of a training's checkpoint, on a file system that executors reach, and the key it must have."""

    uri: str
    key: str


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
    checkpoint: Checkpoint | None = None,
    earlier: Artifact | None = None,
    bar: bool = False,
) -> DataFrame:
    """Train and return the artifact as rows (ROW_SCHEMA); :func:`artifact_of` puts it together.

    ``profile`` asks for a GPU only for this task; on its ``own_machine`` the task may take a GPU that nobody assigned.
    A training that was killed goes on from its ``checkpoint``. A training with an ``earlier`` model starts from it.
    ``bar`` draws a progress bar.

    ``items``, ``users`` and ``n_users`` are the arguments of training_rows. A failure inside the task comes back as a
    row, because an exception would make Spark train again several times before it gave up.
    """
    rows, n = training_rows(items, users, cfg, n_users=n_users), cfg.model.processes
    trainer = _trainer(cfg, text_width, n_threads, own_machine, checkpoint, earlier, bar)
    return shards(rows, n).mapInArrow(trainer, ROW_SCHEMA, barrier=n > 1, profile=profile)


def device_of(settings: Model) -> str:
    """Return the device that `model.device` asks for. Several tasks compute on CPUs: a task that waits for a GPU
    would hold up the others."""
    return settings.device if settings.processes == 1 else "cpu"


def artifact_of(rows: Iterable[Row]) -> Artifact:
    """Return the artifact of its rows. Raises TrainingError with the reason that the task gave."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row["name"], []).append(row)
    if FAILURE in parts:
        raise TrainingError(**json.loads(bytes(parts[FAILURE][0]["data"])))
    facts = ModelFacts.parse(bytes(parts.pop(FACTS)[0]["data"]).decode())
    tensors = {}
    for name, pieces in parts.items():
        data = b"".join(bytes(piece["data"]) for piece in sorted(pieces, key=lambda r: int(r["part"])))
        tensors[name] = np.frombuffer(data, dtype=pieces[0]["dtype"]).reshape(pieces[0]["shape"])
    return Artifact(tensors, facts)


def _trainer(
    cfg: Config,
    text_width: int,
    n_threads: int,
    own_machine: bool,
    checkpoint: Checkpoint | None,
    earlier: Artifact | None,
    bar: bool,
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    settings, seed, of_data = cfg.model, cfg.run.seed, DataSettings.of(cfg)

    def train(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from recsys_spark.worker.threads import limit_threads

        # Before scipy's BLAS is loaded: it asks for the number of threads only once.
        limit_threads(n_threads)
        from recsys_spark.training.progress import TrainingProgress
        from recsys_spark.worker.devices import task_device

        data = data_of(pa.Table.from_batches(list(batches)), of_data, text_width)
        progress = TrainingProgress(bar=bar)
        try:
            with (
                task_device(
                    device_of(settings),
                    assigned_gpus(),
                    setting="model.device",
                    error=TrainingError,
                    own_machine=own_machine,
                ) as device,
                group_of_tasks(settings.processes) as group,
            ):
                checkpoints = _checkpoints(checkpoint, settings.checkpoint_steps, device, progress.say)
                artifact = _trained(data, settings, seed, device, checkpoints, earlier, group, progress)
                if group.rank:
                    return
        except TrainingError as error:
            yield _rows(FAILURE, json.dumps(error.parts(), default=str).encode(), (), "bytes")
            return
        finally:
            progress.close()
        yield _rows(FACTS, artifact.facts_json().encode(), (), "bytes")
        for name, tensor in artifact.tensors.items():
            yield _rows(name, np.ascontiguousarray(tensor).tobytes(), tensor.shape, str(tensor.dtype))

    return train


def _checkpoints(checkpoint: Checkpoint | None, every: int, device: str, say: Callable[[str], None]) -> Checkpoints:
    from recsys_spark.training.kernels.checkpoint_files import NO_CHECKPOINTS, Checkpoints

    if checkpoint is None:
        return NO_CHECKPOINTS
    # A GPU draws different random numbers than a CPU.
    return Checkpoints(checkpoint.uri, f"{checkpoint.key}-{device.partition(':')[0]}", every, say)


def _resumed(checkpoints: Checkpoints) -> tuple[TrainingState | None, str]:
    """Return the state to go on from, and a message about it.

    A checkpoint that cannot be used is refused, and training starts over: at night the lists are worth more than the
    lost hour.
    """
    try:
        saved = checkpoints.load()
    except TrainingError as error:
        return None, f"the checkpoint is refused, training starts over: {error}"
    if saved is None:
        return None, ""
    return saved, f"goes on in epoch {saved.epoch} of the {saved.run} run, after {saved.n_steps} steps"


def _trained(
    data: Data,
    settings: Model,
    seed: int,
    device: str,
    checkpoints: Checkpoints,
    earlier: Artifact | None,
    group: Group,
    progress: TrainingProgress,
) -> Artifact:
    """Return the artifact that this task trains together with the others of its ``group``."""
    from recsys_spark.training.kernels.fit import fit

    saved, said = group.first(lambda: _resumed(checkpoints))
    progress.muted = group.rank > 0
    if said:
        progress.say(said)
    artifact = _fitted(
        lambda: fit(
            data,
            settings,
            seed=seed,
            on_epoch=progress.epoch,
            on_step=progress.step,
            device=device,
            checkpoints=checkpoints,
            saved=saved,
            earlier=earlier,
            group=group,
        )
    )
    return artifact.noting(resumed=said, no_checkpoint=checkpoints.trouble)


def _fitted(train: Callable[[], Artifact]) -> Artifact:
    """Return the result of ``train``.

    Raises TrainingError if the memory of the GPU is exhausted: after any other exception Spark would only train again.
    """
    import torch

    try:
        return train()
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            "The memory of the GPU is too small for training",
            where="train",
            found=str(error).split("\n")[0],
            expected="4 bytes for each pair of linked items, and about 30 for each of model.batch_positions x items",
            action="See who else is on it (nvidia-smi). Lower model.linked_items or model.batch_positions, "
            "or set model.device = cpu.",
        ) from error


def _rows(name: str, data: bytes, shape: tuple[int, ...], dtype: str) -> pa.RecordBatch:
    """Return one tensor as rows of at most PART_BYTES."""
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
