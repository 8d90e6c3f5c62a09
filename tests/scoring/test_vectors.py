"""Vectors of users and items: each user's row has that user's boosts, as the kernels make them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.histories import Positions, from_arrow
from recsys_spark.model.kernels.recommender import ItemMatrix, Recommender
from recsys_spark.scoring.vectors import _user_vectors
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import TEXT_WIDTH, catalogue, data, tasteful_users


def test_each_user_has_the_boosts_of_that_user() -> None:
    world = catalogue()
    artifact = fit(data(tasteful_users()), Model(width=8, n_layers=1, epochs=1), seed=0)
    recommender = Recommender(artifact)
    vectors = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    matrix = ItemMatrix("planted", world.ids, world.ids, vectors.token, vectors.y, vectors.theta, vectors.link)
    # The second has no history, the third one item that was never trained on.
    rows = [["i00", "i01", "i25"], None, ["i39"], ["i22", "i21"]]
    ones = [None if row is None else [1.0] * len(row) for row in rows]
    batch = pa.record_batch(
        {
            "user_id": ["a", "b", "c", "d"],
            "items": pa.array(rows, pa.list_(pa.string())),
            "behaviours": pa.array([row and ["browse"] * len(row) for row in rows], pa.list_(pa.string())),
            "times": pa.array(ones, pa.list_(pa.float64())),
            "weights": pa.array(ones, pa.list_(pa.float64())),
            "social_items": pa.array([None, ["i00"], None, None], pa.list_(pa.string())),
            "social_weights": pa.array([None, [1.0], None, None], pa.list_(pa.float64())),
            "vector": pa.array([None] * 4, pa.list_(pa.float32())),
        }
    )
    shared: Any = (SimpleNamespace(value=artifact), SimpleNamespace(value=matrix))
    [found] = list(_user_vectors(*shared, artifact.model_id, 1)(iter([batch])))
    users = from_arrow(batch, Positions(world.ids), recommender.behaviours, TEXT_WIDTH)
    want = recommender.user_boosts(users, vectors.link)
    # The second is known by friends alone.
    assert set(want.row.tolist()) == {0, 1, 3}
    for user in range(4):
        mine = want.row == user
        assert found["linked"][user].as_py() == want.item[mine].tolist()
        np.testing.assert_array_equal(np.array(found["boosts"][user].as_py(), np.float32), want.value[mine])
        assert np.all(np.diff(want.item[mine]) > 0)
