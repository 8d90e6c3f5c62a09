"""What the training of the towers is told."""

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
    """What training knows of n items, sorted by id."""

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
    """All that training is told."""

    catalogue: Catalogue
    histories: Histories
    """Items are positions in the catalogue"""
    behaviours: Sequence[str]
    """Types, in the order of Histories.behaviours"""
    type_weights: Sequence[float]
    """[n types] configured weights"""
    default_weight: float
    """Of behaviours of other types"""
    half_life_days: float
    """Of the recent popularity"""
    max_history: int
    predict_repeats: bool = False
    """Whether an item is a target at every occurrence in a history, not at its first alone. Lists without seen items
    want the first alone; else browse, cart, purchase of one item would teach little but to repeat."""

    def before(self, histories: Histories, moment: float, group: Group = ALONE) -> Data:
        """Fewer behaviours, and the popularity that those of the ``group`` gave at ``moment``."""
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
        """[n types + 1] configured weights, and that of types which the configuration does not name."""
        return np.append(np.asarray(self.type_weights, np.float64), self.default_weight)

    def weights_of(self, histories: Histories) -> F64:
        """[total] configured weight of each behaviour."""
        return self.all_weights[histories.behaviours]
