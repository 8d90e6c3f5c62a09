"""The quality benchmark's rivals by sequences: SASRec and BERT4Rec; what needs RecTools is skipped without it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.data import World
from benchmarks.quality.methods import Fitted, Texts, Train
from benchmarks.quality.sequences import MissingRecToolsError, logits
from benchmarks.quality.tiny import tiny_world
from recsys_spark.config.encoder import Encoder
from tests.benchmarks.quality.world import world_of

NONE = Encoder(model="none")
SHORT = {"width": 16, "dropout": 0.1, "updates": 1}


def no_texts() -> Texts:
    raise AssertionError("an id-only method asked for texts")


def fitted(name: str, world: World, settings: Mapping[str, Any]) -> Fitted:
    return BASELINES[name].fit(Train(world, no_texts), settings)


def needs_rectools() -> None:
    for package in ("rectools", "pytorch_lightning"):
        pytest.importorskip(package)


@pytest.mark.parametrize(("name", "updates", "share"), [("SASRec", 150, 0.9), ("BERT4Rec", 200, 0.4)])
def test_a_network_of_rectools_learns_an_order_and_scores_as_its_own_recommend_does(
    name: str, updates: int, share: float
) -> None:
    needs_rectools()
    from benchmarks.quality.rectools import data_set, quiet, train, vectors

    # Everyone walks five steps of a circle of twelve items; of the seven that are left only one is next.
    everyone, n_items = np.arange(36), 12
    walks = [(user, (user + step) % n_items, float(step)) for user in everyone.tolist() for step in range(5)]
    world = world_of(walks, len(everyone), n_items)
    masked = {"masked": 0.2} if name == "BERT4Rec" else {}
    model = train(name, world, {**SHORT, **masked, "updates": updates}, 16, 1)
    users, of_users, items, of_items = vectors(model, world)
    assert sorted(users.tolist()) == everyone.tolist()
    scores = np.empty((len(users), n_items), np.float32)
    scores[users] = logits(of_users, of_items, items, n_items)
    with quiet():
        own = model.recommend(everyone, data_set(world), k=n_items, filter_viewed=False)
    np.testing.assert_allclose(scores[own["user_id"], own["item_id"]], own["score"], rtol=1e-4, atol=1e-4)
    scores[world.matrix.nonzero()] = -np.inf
    assert (scores.argmax(1) == (everyone + 5) % n_items).mean() >= share


def test_the_loss_without_padding_is_that_of_rectools() -> None:
    needs_rectools()
    import torch
    from rectools.models.nn.transformers.lightning import TransformerLightningModule

    from benchmarks.quality.rectools import train

    model = train("SASRec", tiny_world(NONE), SHORT, 16, 1)
    network, batch = model.lightning_model.eval(), next(iter(model.data_preparator.get_dataloader_train()))
    network.log = lambda *_, **__: None
    with torch.no_grad():
        ours, own = (one.training_step(network, batch, 0) for one in (type(network), TransformerLightningModule))
    assert (batch["y"] == 0).any()
    assert float(ours) == pytest.approx(float(own), rel=1e-5)


def test_a_history_is_by_time_then_item_with_an_item_at_its_latest_row() -> None:
    needs_rectools()
    from benchmarks.quality.rectools import in_order

    table = in_order(world_of([(0, 3, 5.0), (0, 1, 5.0), (0, 2, 1.0), (1, 4, 0.5), (0, 3, 0.0), (0, 2, 9.0)]))
    assert table["user_id"].tolist() == [1, 0, 0, 0]
    assert table["item_id"].tolist() == [4, 1, 3, 2]
    assert table["datetime"].is_monotonic_increasing


def test_an_item_that_the_network_has_not_seen_comes_last_and_a_user_without_a_known_one_is_not_served() -> None:
    scores = logits(np.array([[1.0], [-1.0]], np.float32), np.array([[2.0], [5.0]], np.float32), np.array([3, 1]), 4)
    assert np.argsort(-scores, axis=1, kind="stable").tolist() == [[1, 3, 0, 2], [3, 1, 0, 2]]
    needs_rectools()
    # u2 has one item, which nobody whose history can be trained on has; u0 and u1 have two.
    rows = [(0, 0, 1.0), (0, 1, 2.0), (1, 1, 1.0), (1, 0, 2.0), (2, 5, 1.0)]
    found, again = (fitted("SASRec", world_of(rows, 4), {**SHORT, "updates": 2}) for _ in range(2))
    assert found.serves.tolist() == [True, True, False, False]
    scores = found.score(np.array([1, 0]))
    assert (scores[:, [0, 1]].min(1) > scores[:, 2:].max(1)).all()
    np.testing.assert_array_equal(scores, again.score(np.array([1, 0])))


def test_a_rival_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pytorch_lightning", "rectools"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "benchmarks.quality.rectools", raising=False)
    monkeypatch.delattr("benchmarks.quality.rectools", raising=False)
    install = r"SASRec needs RecTools .*pip install --no-deps -r benchmarks/quality/rectools\.txt"
    with pytest.raises(MissingRecToolsError, match=install):
        fitted("SASRec", tiny_world(NONE), SHORT)


def test_sequences_are_for_data_with_an_order() -> None:
    world = tiny_world(NONE, n_users=5, n_items=5)
    assert BASELINES["SASRec"].applies(world)
    assert not BASELINES["BERT4Rec"].applies(replace(world, has_times=False, has_order=False))
