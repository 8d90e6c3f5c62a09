"""Keeps the newest state of a training on a file system, so that a killed training goes on from it.

The file is on any file system that pyarrow knows, because the task that trains has no Hadoop client. This is the
executor's own disk or a mounted one, `hdfs://` where libhdfs is installed, `s3://` or `gs://`. If a checkpoint cannot
be written, training goes on without it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs

from recsys_spark.training.kernels.checkpoints import TrainingState

UNREACHABLE = (OSError, pa.ArrowException, ImportError)


class Checkpoints:
    """The one checkpoint of a training: the newest."""

    def __init__(self, uri: str, key: str, every: int, say: Callable[[str], None] = print) -> None:
        """Set ``uri``, the address of the file, and ``every``, the steps between saves.

        ``key`` changes with everything that the model depends on.
        """
        self.uri, self.key, self.every, self._say = uri, key, every, say
        self.trouble = ""
        """Why no checkpoint can be written any more; empty as long as that is possible"""

    def due(self, step: int) -> bool:
        """Return whether the state is to be saved after ``step`` steps of a run."""
        return self.every > 0 and step % self.every == 0

    def save(self, state: TrainingState) -> None:
        """Write the state in place of the earlier one. A reader sees one of the two, whole."""
        if self.trouble:
            return
        try:
            files, path = _located(self.uri)
            files.create_dir(path.rpartition("/")[0], recursive=True)
            # The name is unique, because a copy of the task that Spark gave up may still be writing.
            beside = f"{path}.{uuid.uuid4().hex}.part"
            with files.open_output_stream(beside) as stream:
                stream.write(state.to_bytes(self.key))
            files.move(beside, path)
        except UNREACHABLE as error:
            self.trouble = f"no checkpoint can be written to {self.uri}, so a killed training will start over: {error}"
            self._say(self.trouble)

    def load(self) -> TrainingState | None:
        """Return the state that was saved last; None if there is none or its file system cannot be reached.

        Raises TrainingError if the file is cut short, or is of other settings, other data or another version.
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
        return TrainingState.parse(content, self.key, self.uri)


def _located(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of an address as Hadoop spells it, and the path there."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        return pafs.LocalFileSystem(), f"/{rest.lstrip('/')}"
    if uri.startswith("/"):
        return pafs.LocalFileSystem(), uri
    if "://" not in uri:
        raise OSError(f"pyarrow does not know the file system of {uri}")
    # Hadoop takes an address letter by letter, but pyarrow decodes it.
    files, path = pafs.FileSystem.from_uri(quote(uri.replace("s3a://", "s3://", 1), safe=":/@[]"))
    return files, path


NO_CHECKPOINTS = Checkpoints("", "", 0)
