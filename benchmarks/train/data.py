"""What training is told of a public data set, and the file by which a process of its own gets it."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.quality.data import World
from benchmarks.quality.ours import data_of
from benchmarks.quality.split import PROTOCOLS, TEST, protocols_of
from benchmarks.quality.texts import texts_of

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data


def training_data(world: World, cores: int, cache: Path) -> Data:
    """The train rows of the data set's main protocol with the text vectors of bench-quality."""
    split = PROTOCOLS[protocols_of(world)[0]](world, TEST)
    data, _ = data_of(split.train, texts_of(split.train, cores, cache)())
    return data


@contextmanager
def written(data: Data) -> Iterator[Path]:
    """A file that holds ``data`` as long as the block of `with` runs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.pickle"
        file.write_bytes(pickle.dumps(data))
        yield file


def read(file: Path) -> Data:
    """What :func:`written` wrote."""
    data: Data = pickle.loads(file.read_bytes())
    return data
