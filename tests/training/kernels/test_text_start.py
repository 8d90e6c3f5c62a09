"""Training begins with the similarity of texts, and items hidden in a step are known only by their text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
import torch

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.unit_rows import unit_rows
from recsys_spark.training.kernels.data import Catalogue
from recsys_spark.training.kernels.run import Run
from recsys_spark.training.kernels.text_start import PATH_START, projection
from recsys_spark.worker.process_group import ALONE, Group
from tests.model.worlds import N_ITEMS, TEXT_WIDTH, catalogue, data, histories, tasteful_users

SETTINGS = Model(width=16, n_layers=1, epochs=1, trial_epochs=0, batch_positions=512, dropout=0.0)
T = TypeVar("T")


def run_of(world: Catalogue, settings: Model = SETTINGS, group: Group = ALONE) -> Run:
    """A run before its first step."""
    return Run(data(tasteful_users(), world=world), settings, 0, group=group)


def test_the_linear_path_begins_with_the_similarity_of_texts() -> None:
    world, width = catalogue(), TEXT_WIDTH
    run = run_of(world, SETTINGS.model_copy(update={"width": width}))
    # The rest of the tower begins at random.
    for part in (run.model.tower.out, run.model.items):
        for name, parameter in part.named_parameters():
            if name not in {"w_in.weight", "w_theta.weight", "w_y.weight", "beta"}:
                torch.nn.init.zeros_(parameter)
    recommender = Recommender(run.artifact(Choices()))
    items = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    # All directions are kept, so nothing of the texts is lost: item 3's logits are products of its text with others.
    x = recommender.user_vectors(histories([[3]]), items.token)
    centred = (world.vectors - run.model.text_mean.numpy()) / run.model.text_scale.numpy()
    products = centred @ centred[3]
    np.testing.assert_allclose(x[0] @ items.theta.T, PATH_START / 3 * products, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        unit_rows(items.y) @ unit_rows(items.y)[3], unit_rows(centred) @ unit_rows(centred)[3], atol=1e-4
    )


def test_rows_beyond_the_directions_of_the_texts_stay_random() -> None:
    weight = run_of(catalogue()).model.items.w_theta.weight.detach().numpy()
    assert weight.shape == (16, TEXT_WIDTH)
    squares = weight[:TEXT_WIDTH] @ weight[:TEXT_WIDTH].T
    np.testing.assert_allclose(squares, np.eye(TEXT_WIDTH) * squares[0, 0], atol=1e-5)
    assert np.abs(weight[TEXT_WIDTH:]).min() > 0


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.1])
def test_equal_or_nonfinite_texts_leave_the_weights_random(value: float) -> None:
    world = replace(catalogue(), vectors=np.full((N_ITEMS, TEXT_WIDTH), value, np.float32))
    run = run_of(world)
    assert not run.model.tower.bag.weight.any()
    assert run.model.items.w_theta.weight.abs().min() > 0


def test_the_principal_directions_span_the_texts_and_have_a_sign() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(500, 3)) * [5, 2, 1] @ np.linalg.qr(rng.normal(size=(6, 6)))[0][:3]).astype(np.float32)
    found = projection(vectors, 3)
    kept = unit_rows(found)
    np.testing.assert_allclose(vectors @ kept.T @ kept, vectors, atol=1e-4)
    np.testing.assert_allclose((vectors @ found.T).var(), 1 / 3, rtol=0.02)
    assert (found[np.arange(3), np.abs(found).argmax(1)] > 0).all()
    # Rows of items without a text say nothing.
    with_absent = np.concatenate([vectors, np.zeros((100, 6), np.float32)])
    np.testing.assert_allclose(projection(with_absent, 3), found, rtol=1e-4, atol=1e-6)


def test_rounding_adds_no_directions_that_the_texts_do_not_have() -> None:
    rng = np.random.default_rng(0)
    few = rng.normal(size=(20, 384)).astype(np.float32)
    few -= few.mean(0)
    few /= np.sqrt((few**2).mean())
    found = projection(few, 64)
    assert len(found) == 19
    # Rows in another order round differently; the projection of a cold item's text must not depend on that.
    shuffled = projection(few[rng.permutation(20)], 64)
    np.testing.assert_allclose(np.abs(shuffled @ found.T), np.abs(found @ found.T), atol=1e-3)
    new = rng.normal(size=384).astype(np.float32)
    np.testing.assert_allclose(np.abs(shuffled @ new), np.abs(found @ new), atol=1e-3)


class Other(Group):
    """A process that gets other texts."""

    def first(self, make: Callable[[], T]) -> T:
        """Return the result of the first process, with the opposite sign if it is an array."""
        made = make()
        return -made if isinstance(made, np.ndarray) else made


def test_all_processes_begin_with_the_weights_of_the_first() -> None:
    own, other = (run_of(catalogue(), group=group).model.items.w_in.weight[:TEXT_WIDTH] for group in (ALONE, Other()))
    torch.testing.assert_close(own, -other)


@pytest.mark.parametrize(("share", "is_linked"), [(0.0, True), (1.0, False)])
def test_items_hidden_in_a_step_get_no_boost_from_links(share: float, is_linked: bool) -> None:
    run = run_of(catalogue(), SETTINGS.model_copy(update={"id_dropout": share}))
    found = run.objective(run.histories, np.random.default_rng(0))
    assert found is not None
    (gradient,) = torch.autograd.grad(found[0], [run.model.items.link], allow_unused=True)
    assert (gradient is not None and bool(gradient.any())) == is_linked
