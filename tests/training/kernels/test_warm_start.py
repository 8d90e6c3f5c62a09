"""Starting from an earlier model: its learned parts go with the ids, new items begin by their text, its choices
stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.run import Run
from recsys_spark.training.kernels.warm_start import why_not
from tests.model.worlds import data, tasteful_users

SETTINGS = Model(
    width=16, n_layers=1, epochs=8, warm_epochs=2, trial_epochs=2, batch_positions=256, learning_rate=1e-2, dropout=0.0
)
CHOSEN = Choices(temperature=1.7, link_strength=3.0, cold_item_boost=0.75, w_cos=0.5)


@pytest.fixture(scope="module")
def earlier() -> Artifact:
    """A model of users who touched the first 14 items of a taste."""
    run = Run(data(tasteful_users(n_used=14)), SETTINGS, 0)
    list(run.epochs(8))
    return run.artifact(CHOSEN)


def test_a_warm_start_gives_each_item_its_earlier_weights(earlier: Artifact) -> None:
    run = Run(data(tasteful_users(n_used=16)), SETTINGS, 1, earlier=earlier)
    now, then = run.artifact(CHOSEN), dict(earlier.tensors)
    rows = {item: row for row, item in enumerate(earlier.facts.warm_item_ids)}
    ids = now.facts.warm_item_ids
    old = [k for k, item in enumerate(ids) if item in rows]
    new = [k for k, item in enumerate(ids) if item not in rows]
    assert (len(old), len(new)) == (28, 4)
    for name in ("items.delta", "items.correction"):
        np.testing.assert_array_equal(now.tensors[name][old], then[name][[rows[ids[k]] for k in old]])
        assert not now.tensors[name][new].any()
    for name in now.tensors:
        if name.startswith(("tower.", "items.w_", "text_", "cosine_")):
            np.testing.assert_array_equal(now.tensors[name], then[name])
    # The chosen values are taken out before training and put back after it.
    for name in ("items.beta", "items.link", "temperature"):
        np.testing.assert_allclose(now.tensors[name], then[name], rtol=1e-6)


def test_a_warm_start_takes_few_epochs_without_a_trial_and_keeps_the_choices(earlier: Artifact) -> None:
    users = data(tasteful_users(n_used=16))
    warm, fresh = fit(users, SETTINGS, seed=0, earlier=earlier), fit(users, SETTINGS, seed=0)
    assert [entry.epoch for entry in warm.facts.losses] == [1, 2]
    assert warm.facts.trial == ()
    assert warm.facts.choices == CHOSEN
    first = [artifact.facts.losses[0].cross_entropy for artifact in (warm, fresh)]
    assert first[0] < first[1] - 0.3


def test_training_does_not_start_from_a_model_of_other_types_or_shape(earlier: Artifact) -> None:
    shape = earlier.facts.shape
    assert why_not(earlier, ["browse"], shape) is None
    assert why_not(earlier, ["browse"], replace(shape, dropout=0.5)) is None
    assert why_not(earlier, ["browse", "buy"], shape) == "its behaviour types are browse, and now browse, buy"
    assert why_not(earlier, ["browse"], replace(shape, width=32)) == "its width is 16, and now 32"
