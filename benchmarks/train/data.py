"""What training is told of a public data set, and the file by which a fresh process gets it."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.ledger import Row
from benchmarks.common.suite import say
from benchmarks.quality.data import World
from benchmarks.quality.ours import data_of
from benchmarks.quality.readers import read_world
from benchmarks.quality.split import PROTOCOLS, TEST, protocols_of
from benchmarks.quality.texts import CACHE, texts_of
from benchmarks.train.plan import TrainPlan, datasets_of

if TYPE_CHECKING:
    from recsys_spark.training.kernels.data import Data

Rows = Callable[["Data", str, TrainPlan], list[Row]]


def each_dataset(plan: TrainPlan, usual: Sequence[str], rows_of: Rows) -> Iterator[list[Row]]:
    """Yield the rows of each data set that was asked for, else of the ``usual`` ones, with its name."""
    for name in datasets_of(plan, usual):
        say(f"==> {name}")
        data = training_data(read_world(name), plan.cores, CACHE)
        yield [{"dataset": name, **row} for row in rows_of(data, name, plan)]


def training_data(world: World, cores: int, cache: Path) -> Data:
    """Return the train rows of the data set's main protocol with the text vectors of bench-quality."""
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
    """Return what :func:`written` wrote."""
    data: Data = pickle.loads(file.read_bytes())
    return data
