"""The quality benchmark's rivals by factors: iALS, BPR, MLlib's ALS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from benchmarks.quality import factors as quality_factors
from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.data import World
from benchmarks.quality.methods import Fitted, Texts, Train, served
from benchmarks.quality.metrics import OVERALL, evaluate
from benchmarks.quality.split import TEST, Split, split_last
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from tests.benchmarks.quality.world import world_of


def no_texts() -> Texts:
    raise AssertionError("an id-only method asked for texts")


def fitted(name: str, world: World, settings: Mapping[str, Any]) -> Fitted:
    return BASELINES[name].fit(Train(world, no_texts), settings)


@pytest.fixture(scope="module")
def split() -> Split:
    return split_last(tiny_world(Encoder(model="none")), TEST)


def gain(name: str, split: Split, settings: Mapping[str, Any]) -> float:
    """Ndcg as a multiple of popularity's; what is to be learned is each user's topic."""
    method, popular = (fitted(*one) for one in ((name, split.train, settings), ("popularity", split.train, {})))
    mine, other = (evaluate(served(one, split.train), split)[OVERALL].means[1] for one in (method, popular))
    return float(mine / other)


def test_ials_and_bpr_find_what_belongs_together(split: Split) -> None:
    pytest.importorskip("implicit")
    assert gain("iALS", split, {"factors": 64, "alpha": 5.0, "regularization": 10.0}) > 1.1
    assert gain("BPR", split, {"factors": 64, "learning rate": 0.05, "regularization": 0.1}) > 1.1


def test_mllibs_als_finds_what_belongs_together_and_leaves_a_session_that_was_there(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_factors, "ITERATIONS_OF_MLLIB", 4)
    # u0 to u2 take i0 to i2, but u0 not i2; u3 and u4 take i3 and i4; nobody is u5 or took i5.
    pairs = [(user, item) for user in range(3) for item in range(3) if (user, item) != (0, 2)]
    pairs += [(user, item) for user in (3, 4) for item in (3, 4)]
    world = world_of([(user, item, 0.0) for user, item in pairs], 6)
    found = fitted("MLlib ALS", world, {"factors": 4, "alpha": 10.0, "regularization": 0.1})
    assert found.serves.tolist() == [True, True, True, True, True, False]
    scores = found.score(np.array([4, 0]))
    assert (scores[:, 5] == 0).all()
    assert scores[1, 2] > scores[1, [3, 4, 5]].max() + 0.1
    assert scores[0, [3, 4]].min() > 0.7
    assert spark.range(3).count() == 3
