"""Checkpoints: the state of an unfinished training in one safetensors file, so that a killed one goes on where it was.

The file is on any file system that pyarrow knows, because the task that trains has no Hadoop client: the executors' own disk or a
mounted one, `hdfs://` where libhdfs is installed, `s3://`, `gs://`. A checkpoint is an insurance: where it cannot be written, training
goes on without.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from recsys_spark.errors import TrainingError

FORMAT = 1
FACTS = "facts"
START_OVER = "Delete it; training starts over without it."
UNREACHABLE = (OSError, pa.ArrowException, ImportError)


@dataclass(frozen=True)
class State:
    """Where a training was."""

    tensors: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any]

    def beside(self, tensors: Mapping[str, npt.NDArray[Any]], **facts: Any) -> State:
        """The same with more."""
        return State({**self.tensors, **tensors}, {**self.facts, **facts})


class Checkpoints:
    """The one checkpoint of a training: the newest."""

    def __init__(self, uri: str, key: str, every: int, say: Callable[[str], None] = print) -> None:
        """``uri`` of the file, written every so many steps; ``key`` changes with all that the model depends on."""
        self.uri, self.key, self.every, self._say = uri, key, every, say
        self.trouble = ""
        """Why none can be written any more"""

    def due(self, step: int) -> bool:
        """Whether the state is to be saved after so many steps of a run."""
        return self.every > 0 and step % self.every == 0

    def save(self, state: State) -> None:
        """Write the state in place of the one before; a reader sees the one or the other."""
        if self.trouble:
            return
        facts = {"format": FORMAT, "key": self.key, **state.facts}
        # safetensors writes the buffer below a view, not what the view shows.
        tensors = {name: np.asarray(value, order="C") for name, value in state.tensors.items()}
        tensors[FACTS] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        try:
            files, path = _located(self.uri)
            files.create_dir(path.rpartition("/")[0], recursive=True)
            # Its own: a copy of the task that Spark gave up may still be writing.
            beside = f"{path}.{uuid.uuid4().hex}.part"
            with files.open_output_stream(beside) as stream:
                stream.write(save_tensors(tensors))
            files.move(beside, path)
        except UNREACHABLE as error:
            self.trouble = f"no checkpoint can be written to {self.uri}, so a killed training will start over: {error}"
            self._say(self.trouble)

    def load(self) -> State | None:
        """The state that was saved last, None where there is none.

        Raises TrainingError where the file is cut short, or is of other settings, data or another version.
        """
        if not self.uri:
            return None
        try:
            files, path = _located(self.uri)
            if files.get_file_info(path).type != pafs.FileType.File:
                return None
            with files.open_input_stream(path) as stream:
                content = stream.read()
        except UNREACHABLE as error:
            self._say(f"no checkpoint can be read from {self.uri}: {error}")
            return None
        try:
            tensors = load_tensors(content)
            facts = json.loads(tensors.pop(FACTS).tobytes())
        except (SafetensorError, KeyError, ValueError) as error:
            raise TrainingError(
                "The checkpoint cannot be read",
                where=self.uri,
                found=f"{len(content):,} bytes: {error}",
                expected="a safetensors file with the state of a training",
                action=START_OVER,
            ) from error
        if (facts.get("format"), facts.get("key")) != (FORMAT, self.key):
            raise TrainingError(
                "The checkpoint is of another training",
                where=self.uri,
                found=f"format {facts.get('format')}, key {facts.get('key')}",
                expected=f"format {FORMAT}, key {self.key}: this version, these settings, this input, this device",
                action=START_OVER,
            )
        return State(tensors, facts)


def _located(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system of an address as Hadoop spells it, and the path there."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        return pafs.LocalFileSystem(), f"/{rest.lstrip('/')}"
    if uri.startswith("/"):
        return pafs.LocalFileSystem(), uri
    if "://" not in uri:
        raise OSError(f"pyarrow knows no file system of {uri}")
    files, path = pafs.FileSystem.from_uri(uri.replace("s3a://", "s3://", 1))
    return files, path


NO_CHECKPOINTS = Checkpoints("", "", 0)
