"""The data that the towers are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.popularity import Popularity, popularity_at
from recsys_spark.numerics.arrays import F32, F64, Bools
from recsys_spark.worker.process_group import ALONE, Group


@dataclass(frozen=True)
class Catalogue:
    """The n items that training knows, sorted by id."""

    ids: npt.NDArray[np.object_]
    """[n]"""
    vectors: F32
    """[n, h] text vectors; zero rows where `has_vector` is false"""
    has_vector: Bools
    """[n]"""
    popularity: Popularity
    """of the n items at the end of the data"""


@dataclass(frozen=True)
class Data:
    """All data of a training."""

    catalogue: Catalogue
    histories: Histories
    """Items are positions in the catalogue"""
    behaviours: Sequence[str]
    """Types, in the order of Histories.behaviours"""
    type_weights: Sequence[float]
    """[n types] configured weights"""
    default_weight: float
    """Weight of behaviours of other types"""
    half_life_days: float
    """Half-life of the recent popularity"""
    max_history: int
    predict_repeats: bool = False
    """Whether an item is a target at every occurrence in a history, or only at its first. Lists without seen items
    want only the first: else browse, cart, purchase of one item would teach little but to repeat."""

    def before(self, histories: Histories, moment: float, group: Group = ALONE) -> Data:
        """Return the same data with other ``histories``, and the popularity at ``moment`` from the histories of the
        whole ``group``."""
        popularity = popularity_at(
            moment,
            histories.items,
            histories.times,
            self.weights_of(histories),
            len(self.catalogue.ids),
            self.half_life_days,
            group,
        )
        return replace(self, histories=histories, catalogue=replace(self.catalogue, popularity=popularity))

    @property
    def all_weights(self) -> F64:
        """Return the configured weights [n types + 1]; the last is for types that the configuration does not name."""
        return np.append(np.asarray(self.type_weights, np.float64), self.default_weight)

    def weights_of(self, histories: Histories) -> F64:
        """Return the configured weight of each behaviour, [total]."""
        return self.all_weights[histories.behaviours]
